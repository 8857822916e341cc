/*
 * A model in ONNX Runtime, run in bursts as a script asks for them: what
 * ours.c is for this engine, with the same arguments and the same protocol.
 *
 *     node ort.js MODEL INPUT.npy THREADS
 *
 * All graph optimisations are on and the batch is fixed to 1, which it may
 * exploit.  onnxruntime-node is found through NODE_PATH.
 */

'use strict';

const readline = require('readline');
const ort = require('onnxruntime-node');
const npy = require('../models/npy.js');

function now() {
    return Number(process.hrtime.bigint()) / 1e6;
}

async function main(model, input, threads) {
    const x = npy.read(input);
    const begin = now();
    const session = await ort.InferenceSession.create(model, {
        graphOptimizationLevel: 'all',
        executionMode: 'sequential',
        intraOpNumThreads: Number(threads),
        interOpNumThreads: 1,
        freeDimensionOverrides: { N: 1 },
        enableCpuMemArena: true,
        enableMemPattern: true,
        logSeverityLevel: 3,
    });

    console.log((now() - begin).toFixed(2));

    const feeds = { [session.inputNames[0]]: x };

    for await (const line of readline.createInterface(process.stdin)) {
        const [warmup, runs] = line.split(' ').map(Number);
        const ms = [];

        for (let i = 0; i < warmup + runs; i++) {
            const start = now();

            await session.run(feeds);

            if (i >= warmup) {
                ms.push((now() - start).toFixed(4));
            }
        }

        console.log(ms.join(' '));
    }
}

if (process.argv.length !== 5) {
    console.error('usage: node ort.js MODEL INPUT.npy THREADS');
    process.exit(2);
}

main(...process.argv.slice(2)).catch(e => {
    console.error(`ort.js: ${e.message}`);
    process.exit(1);
});
