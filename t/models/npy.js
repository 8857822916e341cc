/*
 * NumPy's file format 1.0: magic, version, u16 header length, header,
 * elements.
 */

'use strict';

const fs = require('fs');
const ort = require('onnxruntime-node');

const MAGIC = Buffer.from('\x93NUMPY\x01\x00', 'latin1');
const PREFIX = MAGIC.length + 2;

const TYPES = {
    '<f4': ['float32', Float32Array],
    '|u1': ['uint8', Uint8Array],
    '|i1': ['int8', Int8Array],
    '<i4': ['int32', Int32Array],
};

function read(file) {
    const buf = fs.readFileSync(file);

    if (buf.length < PREFIX || !buf.subarray(0, MAGIC.length).equals(MAGIC)) {
        throw new Error(`${file}: not a NumPy file of version 1.0`);
    }

    const start = PREFIX + buf.readUInt16LE(MAGIC.length);
    const header = buf.toString('latin1', PREFIX, start);
    const shape = /'shape': \(([\d, ]*)\)/.exec(header);
    const descr = /'descr': '(...)'/.exec(header);

    if (!shape || !descr || !TYPES[descr[1]]
        || !header.includes("'fortran_order': False"))
    {
        throw new Error(`${file}: not a row-major array of numbers`);
    }

    const [type, Elements] = TYPES[descr[1]];

    return new ort.Tensor(type,
                          new Elements(new Uint8Array(buf.subarray(start))
                                       .buffer),
                          shape[1].split(',').filter(s => s.trim())
                                  .map(Number));
}

function write(file, tensor) {
    const descr = Object.keys(TYPES).find(d => TYPES[d][0] === tensor.type);

    if (!descr) {
        throw new Error(`${file}: output of type ${tensor.type}`);
    }

    const text = `{'descr': '${descr}', 'fortran_order': False, `
                 + `'shape': (${tensor.dims.map(d => d + ',').join(' ')}), }`;
    const length = Math.ceil((PREFIX + text.length + 1) / 64) * 64 - PREFIX;
    const size = Buffer.alloc(2);

    size.writeUInt16LE(length);
    fs.writeFileSync(file, Buffer.concat([
        MAGIC, size, Buffer.from(text.padEnd(length - 1) + '\n'),
        Buffer.from(tensor.data.buffer, tensor.data.byteOffset,
                    tensor.data.byteLength)]));
}

module.exports = { read, write };
