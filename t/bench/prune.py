#!/usr/bin/python3
"""make bench, third part: what pruning gains, on one thread.

    prune.py BUILD

The sparse tile against the dense one, as BUILD/bench/sparse measures them, and
ResNet-18 without half of its channels against the whole of it, in turns as in
models.py.

BENCH_ROUNDS   turns of each, by default 20
"""

import copy
import os
import statistics
import subprocess

import machine
import models

NAME = "resnet18"
PRUNED = 0.5                        # of the channels of each layer
LEAST = 1.8                         # times faster
# Share of blocks that are left out, in percent: times faster.
SPARSE_LEAST = {80: 3.0}


def at_least(value, limit):
    if limit is None:
        return ""
    return f"{limit:.1f} missed" if value < limit else f"{limit:.1f}"


def sparse(build):
    """Rows of what BUILD/bench/sparse prints."""
    rows = []
    for line in machine.output(f"{build}/bench/sparse").splitlines()[1:]:
        zeros, picture, dense, ours, ratio = line.split()
        limit = SPARSE_LEAST.get(int(zeros.rstrip("%")))
        rows.append([zeros, picture, dense, ours, ratio,
                     at_least(float(ratio), limit)])
    return rows


def pruned(build, model):
    """The model without the channels that matter least."""
    result = copy.copy(model)
    result.path = f"{build}/models/{NAME}_pruned.infer"
    subprocess.run([f"{build}/infer", "convert", model.path, "-o",
                    result.path, "--prune", str(PRUNED)], check=True,
                   stdout=subprocess.DEVNULL)
    return result


def main():
    build, _, rounds, (ours, _) = models.settings(models.TARGET)

    print("## Pruning: float32, one thread\n")
    print(machine.head(f"{rounds} turns of about {models.BURST_MS} ms each"))

    print("\n### Blocks of a 1x1 convolution, 256 to 256 channels\n")
    print(machine.table(["left out", "picture", "dense us", "sparse us",
                         "faster", "at least"], sparse(build)), flush=True)

    model = models.Model(build, NAME)
    less = pruned(build, model)
    ms, _ = models.measure([(ours, less), (ours, model)], 1, rounds)
    after, before = (statistics.median(m) for m in ms)

    print("\n### Channels\n")
    print(machine.table(
        ["model", "left out", "MB", "whole MB", "ms", "whole ms", "faster",
         "at least"],
        [[NAME, f"{PRUNED:.0%}",
          f"{os.path.getsize(less.path) / 1e6:.1f}",
          f"{os.path.getsize(model.path) / 1e6:.1f}", f"{after:.2f}",
          f"{before:.2f}", f"{before / after:.2f}",
          at_least(before / after, LEAST)]]), flush=True)


main()
