/*
 * Runs a model in ONNX Runtime: the reference of `make test-models`.
 *
 *     node reference.js MODEL OUTPUT_DIR INPUT.npy...
 *
 * The first output for each input goes to OUTPUT_DIR under the input's name.
 * onnxruntime-node is found through NODE_PATH.
 */

'use strict';

const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');

/* NumPy's format 1.0: magic, version, u16 header length, header, elements. */
const MAGIC = Buffer.from('\x93NUMPY\x01\x00', 'latin1');
const PREFIX = MAGIC.length + 2;

function readNpy(file) {
    const buf = fs.readFileSync(file);

    if (buf.length < PREFIX || !buf.subarray(0, MAGIC.length).equals(MAGIC)) {
        throw new Error(`${file}: not a NumPy file of version 1.0`);
    }

    const start = PREFIX + buf.readUInt16LE(MAGIC.length);
    const header = buf.toString('latin1', PREFIX, start);
    const shape = /'shape': \(([\d, ]*)\)/.exec(header);

    if (!shape || !header.includes("'descr': '<f4'")
        || !header.includes("'fortran_order': False"))
    {
        throw new Error(`${file}: not a row-major array of float32`);
    }

    return new ort.Tensor('float32',
                          new Float32Array(new Uint8Array(buf.subarray(start))
                                           .buffer),
                          shape[1].split(',').filter(s => s.trim())
                                  .map(Number));
}

function writeNpy(file, tensor) {
    if (tensor.type !== 'float32') {
        throw new Error(`${file}: output of type ${tensor.type}`);
    }

    const text = `{'descr': '<f4', 'fortran_order': False, `
                 + `'shape': (${tensor.dims.map(d => d + ',').join(' ')}), }`;
    const length = Math.ceil((PREFIX + text.length + 1) / 64) * 64 - PREFIX;
    const size = Buffer.alloc(2);

    size.writeUInt16LE(length);
    fs.writeFileSync(file, Buffer.concat([
        MAGIC, size, Buffer.from(text.padEnd(length - 1) + '\n'),
        Buffer.from(tensor.data.buffer, tensor.data.byteOffset,
                    tensor.data.byteLength)]));
}

async function main(model, dir, ...inputs) {
    const session = await ort.InferenceSession.create(model, {
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        logSeverityLevel: 3,
    });

    for (const file of inputs) {
        const out = await session.run(
            { [session.inputNames[0]]: readNpy(file) });

        writeNpy(path.join(dir, path.basename(file)),
                 out[session.outputNames[0]]);
    }
}

if (process.argv.length < 5) {
    console.error('usage: reference.js MODEL OUTPUT_DIR INPUT.npy...');
    process.exit(2);
}

main(...process.argv.slice(2)).catch(e => {
    console.error(`reference.js: ${e.message}`);
    process.exit(1);
});
