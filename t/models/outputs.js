/*
 * Runs models in ONNX Runtime and keeps all their outputs.
 *
 *     node outputs.js MODEL OUTPUT_DIR NAME=INPUT.npy... [-- MODEL ...]
 *
 * Output NAME goes to OUTPUT_DIR/NAME.npy, '/' and ':' in it being '_'.
 */

'use strict';

const path = require('path');
const ort = require('onnxruntime-node');
const npy = require('./npy.js');

async function run(model, dir, ...inputs) {
    const feeds = {};
    const session = await ort.InferenceSession.create(model, {
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        logSeverityLevel: 3,
        /* or signed activations are computed in floats */
        extra: { session: { qdqisint8allowed: '1' } },
    });

    for (const input of inputs) {
        const equals = input.indexOf('=');

        feeds[input.slice(0, equals)] = npy.read(input.slice(equals + 1));
    }

    const out = await session.run(feeds);

    for (const name of session.outputNames) {
        npy.write(path.join(dir, name.replace(/[/:]/g, '_') + '.npy'),
                  out[name]);
    }
}

async function main(args) {
    while (args.length > 0) {
        const end = args.indexOf('--') < 0 ? args.length : args.indexOf('--');

        await run(...args.slice(0, end));
        args = args.slice(end + 1);
    }
}

main(process.argv.slice(2)).catch(e => {
    console.error(`outputs.js: ${e.message}`);
    process.exit(1);
});
