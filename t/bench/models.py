#!/usr/bin/python3
"""make bench, first part: the engine against ONNX Runtime, model by model.

    models.py BUILD

Two processes, one of each engine, hold the same model and take turns in short
bursts on the same input, so that whatever else the machine does hits both.
Each burst begins with runs that do not count.  The tables are Markdown.

BENCH_MODELS   names, by default all of TARGET
BENCH_ROUNDS   turns of each engine, by default 20
"""

import json
import os
import statistics
import subprocess
import sys
import time

import machine

# The ratio to ONNX Runtime, on one thread, that is wanted; on two threads it
# may be SLACK more.
TARGET = {
    "resnet18": 0.60, "resnet50": 0.78, "vgg16": 0.55, "mobilenet_v2": 0.78,
    "squeezenet1_1": 0.70, "efficientnet_b0": 0.80,
    "shufflenet_v2_x1_0": 0.85, "mobilenet_v3_small": 0.85,
    "densenet121": 0.85, "googlenet": 0.70, "inception_v3": 0.85,
    "vit_b_16": 0.90,
}
SLACK = 0.05
THREADS = (1, 2)
MEMORY = 0.5                        # of ONNX Runtime's peak RSS, at most
LOADS = 3                           # starts of each engine to time loading

BURST_MS = 120
BURST_RUNS = (2, 60)
WARMUP = 1
PAUSE = 0.005                       # for the other's threads to go to sleep


class Engine:
    """A process that holds a model; see ours.c for what it is told."""

    def __init__(self, command, model, threads):
        self.process = subprocess.Popen(
            [*command, model.path, model.input, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load_ms = self.read()[0]
        self.ms = []

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.process.args)}: no answer")
        return [float(word) for word in line.split()]

    def burst(self, runs):
        time.sleep(PAUSE)
        self.process.stdin.write(f"{WARMUP} {runs}\n")
        self.process.stdin.flush()
        return self.read()

    def peak_mb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) / 1024 for line in f
                        if line.startswith("VmHWM:"))

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit(f"{' '.join(self.process.args)}: failed")


class Model:
    def __init__(self, build, name):
        size = 299 if "inception" in name else 224
        self.path = f"{build}/models/{name}.onnx"
        self.input = f"{build}/models/input/{size}_0.npy"


def measure(pairs, threads, rounds):
    """Engines, each a command and a model, taking turns; the one that begins
    alternates too.  Returns the milliseconds of each, and the peak RSS."""
    engines = [Engine(command, model, threads) for command, model in pairs]

    counts = []
    for e in engines:
        slowest = max(e.burst(BURST_RUNS[0]))
        counts.append(min(max(round(BURST_MS / slowest), BURST_RUNS[0]),
                          BURST_RUNS[1]))

    for i in range(rounds):
        for e, runs in list(zip(engines, counts))[::-1 if i % 2 else 1]:
            e.ms += e.burst(runs)

    peaks = [e.peak_mb() for e in engines]
    for e in engines:
        e.close()

    return [e.ms for e in engines], peaks


def load_times(commands, model):
    """The median of some starts of each, in turns."""
    times = [[], []]
    for _ in range(LOADS):
        for i, command in enumerate(commands):
            engine = Engine(command, model, 1)
            times[i].append(engine.load_ms)
            engine.close()

    return [statistics.median(t) for t in times]


def missed(value, limit):
    return f"{limit:.2f} missed" if value > limit else f"{limit:.2f}"


def speed_row(name, ms, gmacs, peak, target):
    ours, theirs = (statistics.median(m) for m in ms)
    gflops = 2 * gmacs / ours * 1e3

    return [name, f"{ours:.2f}", f"{theirs:.2f}", f"{ours / theirs:.2f}",
            missed(ours / theirs, target), f"{min(ms[0]) / min(ms[1]):.2f}",
            f"{gflops:.0f}", f"{100 * gflops / peak:.0f} %"]


def memory_row(name, peaks, loads):
    return [name, f"{peaks[0]:.0f}", f"{peaks[1]:.0f}",
            f"{peaks[0] / peaks[1]:.2f}",
            missed(peaks[0] / peaks[1], MEMORY), f"{loads[0]:.0f}",
            f"{loads[1]:.0f}", f"{loads[0] / loads[1]:.2f}",
            missed(loads[0] / loads[1], 1)]


def gmacs_of(build, model):
    return json.loads(machine.output(f"{build}/infer", "inspect", model.path,
                                     "--json"))["macs"] / 1e9


def print_heading(threads):
    print(f"\n### {threads} thread{'s' if threads > 1 else ''}\n")


def progress(what, threads):
    print(f"bench: {what}, threads: {threads}", file=sys.stderr)


def settings(known):
    """BUILD, the names of models, how many turns, and the command of each
    engine."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} BUILD")

    build = sys.argv[1]
    names = os.environ.get("BENCH_MODELS", "").split() or list(TARGET)
    rounds = int(os.environ.get("BENCH_ROUNDS") or 20)

    unknown = [n for n in names if n not in TARGET]
    if unknown:
        sys.exit(f"BENCH_MODELS: no model {' '.join(unknown)}; there are "
                 f"{' '.join(TARGET)}")

    return (build, [n for n in names if n in known], rounds,
            [[f"{build}/bench/ours"], ["node", "t/bench/ort.js"]])


def print_head(title, rounds, *more):
    runtime = machine.output("node", "-p",
                             "require('onnxruntime-node/package').version")
    print(f"## Models: one image, {title}\n")
    print(machine.head(
        f"ONNX Runtime {runtime} (onnxruntime-node), "
        f"Node.js {machine.output('node', '--version')}",
        f"{rounds} turns of about {BURST_MS} ms each; ratio: ours / ONNX "
        "Runtime, of the medians; best: of the shortest runs", *more),
        flush=True)


def main():
    build, names, rounds, commands = settings(TARGET)

    isa = ""
    peak = {}
    for threads in THREADS:
        isa, best = machine.output(f"{build}/bench/peak",
                                   str(threads)).split()
        peak[threads] = float(best)

    print_head("float32", rounds,
               f"peak of {isa} measured on 1 and 2 threads: "
               f"{' and '.join(str(p) for p in peak.values())} GFLOP/s; "
               "GFLOP/s count the multiplications of a direct convolution")

    memory = []
    for threads in THREADS:
        rows = []
        for name in names:
            model = Model(build, name)
            ms, peaks = measure([(c, model) for c in commands], threads,
                                rounds)
            target = TARGET[name] + (SLACK if threads > 1 else 0)
            rows.append(speed_row(name, ms, gmacs_of(build, model),
                                  peak[threads], target))
            if threads == 1:
                memory.append(memory_row(name, peaks,
                                         load_times(commands, model)))
            progress(name, threads)

        print_heading(threads)
        print(machine.table(["model", "ms", "ONNX Runtime ms", "ratio",
                             "at most", "best", "GFLOP/s", "of peak"], rows),
              flush=True)

    print("\n### Peak RSS of the process and time to load\n")
    print("The process of ONNX Runtime includes Node.js.\n")
    print(machine.table(["model", "MB", "ONNX Runtime MB", "ratio",
                         "at most", "load ms", "ONNX Runtime ms", "ratio",
                         "at most"], memory), flush=True)


if __name__ == "__main__":
    main()
