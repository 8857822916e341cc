#!/usr/bin/python3
"""make bench, second part: quantized models against ONNX Runtime, and against
the same models in float32 in this engine, in turns as in models.py.

    int8.py BUILD

BENCH_MODELS   names, by default all of TARGET; others are passed over
BENCH_ROUNDS   turns of each engine, by default 20
"""

import copy
import os
import statistics
import subprocess

import machine
import models

# As in models.py, of quantized models.
TARGET = {"resnet18": 0.80, "resnet50": 0.85, "mobilenet_v2": 0.75}
# How many times faster than in float32 they are to be here, on one thread.
SPEEDUP = {"resnet50": 2.8}


def quantized(build, model):
    """The same model in 8-bit integers; its file is made once."""
    tool = "t/models/quantize.py"
    directory, name = os.path.split(model.path)
    result = copy.copy(model)
    result.path = os.path.join(directory, "int8", name)

    if not (os.path.exists(result.path)
            and all(os.path.getmtime(result.path) > os.path.getmtime(f)
                    for f in (tool, model.path))):
        os.makedirs(os.path.dirname(result.path), exist_ok=True)
        subprocess.check_call([
            "/usr/bin/python3", tool, f"{build}/infer", model.path,
            model.input.replace("_0.npy", "_5.npy"), result.path])

    return result


def row(name, ms, threads):
    ours, theirs, floats = (statistics.median(m) for m in ms)
    speedup = floats / ours
    wanted = SPEEDUP.get(name) if threads == 1 else None
    target = TARGET[name] + (models.SLACK if threads > 1 else 0)
    least = "" if wanted is None else f"{wanted:.1f}"

    return [name, f"{ours:.2f}", f"{theirs:.2f}", f"{ours / theirs:.2f}",
            models.missed(ours / theirs, target),
            f"{min(ms[0]) / min(ms[1]):.2f}", f"{floats:.2f}",
            f"{speedup:.2f}",
            f"{least} missed" if wanted and speedup < wanted else least]


def main():
    build, names, rounds, (ours, theirs) = models.settings(TARGET)

    models.print_head(
        "8-bit integers", rounds,
        "QuantizeLinear and DequantizeLinear around every layer: uint8 "
        "activations, int8 weights with a scale for each output; faster: "
        "times, than in float32")

    for threads in models.THREADS:
        rows = []
        for name in names:
            model = models.Model(build, name)
            integers = quantized(build, model)
            ms, _ = models.measure(
                [(ours, integers), (theirs, integers), (ours, model)],
                threads, rounds)
            rows.append(row(name, ms, threads))
            models.progress(f"{name} in INT8", threads)

        models.print_heading(threads)
        print(machine.table(["model", "ms", "ONNX Runtime ms", "ratio",
                             "at most", "best", "float32 ms", "faster",
                             "at least"], rows), flush=True)


main()
