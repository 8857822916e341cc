/*
 * Runs a model in ONNX Runtime: the reference of `make test-models`.
 *
 *     node reference.js MODEL OUTPUT_DIR INPUT.npy...
 *
 * The first output for each input goes to OUTPUT_DIR under the input's name.
 * onnxruntime-node is found through NODE_PATH.
 */

'use strict';

const path = require('path');
const ort = require('onnxruntime-node');
const npy = require('./npy.js');

async function main(model, dir, ...inputs) {
    const session = await ort.InferenceSession.create(model, {
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        logSeverityLevel: 3,
    });

    for (const file of inputs) {
        const out = await session.run(
            { [session.inputNames[0]]: npy.read(file) });

        npy.write(path.join(dir, path.basename(file)),
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
