#!/usr/bin/python3
"""make bench, last part: the module in nginx against FastAPI + TorchScript.

    server.py BUILD

Both serve the same model and get the same requests from load.c.  All servers
are up and take turns, so that whatever else the machine does hits all; only
memory is measured of each alone, for libraries that processes share count
less in each.

nginx runs as the README says: a worker for each of two cores, a thread in
each; with reuseport, or the kernel gives connections that come at once all to
one of them.  The Python service (recipe.py) runs with workers and threads as
CONFIGURATIONS says; each worker is a process with a port of its own, over
which the client deals its requests evenly (nginx's workers get what the kernel
deals).  Of its configurations the best counts, for each quantity anew.

Last comes infer_batch: a model of fully connected layers, whose weights are
read from memory once for all requests of a batch, with and without it.

Everything stays on 127.0.0.1.

BENCH_SECONDS  of each measurement, by default 8
BENCH_SERVED   names of models, by default resnet18 mobilenet_v2
"""

import contextlib
import json
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

import numpy
import onnx.helper
import onnx.numpy_helper

import machine

# Workers, threads of each, and how these wait for work: asleep (passive), or
# as GNU OpenMP has it, spinning for some time: faster on a machine that has
# nothing else to do, very slow on any other.
CONFIGURATIONS = ((2, 1, "passive"), (1, 2, "passive"), (1, 2, "default"))
TARGET = {"resnet18": 2.5, "mobilenet_v2": 4}   # requests/s at 8 clients
MEMORY = 1 / 3                      # of one worker of the service
OUTSIDE_MS = 0.3
LIMITS_MS = (15, 100)               # for the 99th percentile
TURNS = 4                           # that a closed loop is divided into
STEPS = 5                           # of the search for the highest rate
WARMUP_SECONDS = 2
START_SECONDS = 60
STOP_SECONDS = 10                   # for answers that nobody waits for
MLP = (784, 2048, 2048, 2048, 10)   # layers of the model for infer_batch
BATCHES = ("off", "size=16", "size=16 delay=1ms")
BATCH_CLIENTS = (1, 8, 32)
BATCH_TARGET = 1.5                  # requests/s with most clients

NGINX = """
load_module {module};
worker_processes 2;
thread_pool infer threads=1;
daemon off;
pid {run}/nginx.pid;
error_log {run}/error.log;
events {{ }}
http {{
    access_log off;
    client_max_body_size 20m;
    client_body_buffer_size 1m;
    client_body_temp_path {run}/body;
    proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi;
    scgi_temp_path {run}/scgi;
    infer_thread_pool infer;
    server {{
        listen 127.0.0.1:{port} reuseport;
        location = /predict {{
            infer_model {model};
            add_header X-Infer-Time $infer_time;
            {directives}
        }}
    }}
}}
"""


def free_ports(n):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class Server:
    """Processes that answer on ports; a context manager."""

    def __init__(self, name, ports):
        self.name = name
        self.ports = ports
        self.processes = []

    def start(self, command, **environment):
        self.processes.append(subprocess.Popen(
            command, env={**os.environ, **environment}))

    def __enter__(self):
        deadline = time.monotonic() + START_SECONDS
        for port in self.ports:
            while not listens(port):
                if (time.monotonic() > deadline
                        or any(p.poll() is not None for p in self.processes)):
                    self.__exit__()
                    sys.exit(f"{self.name} does not start")
                time.sleep(0.1)
        return self

    def __exit__(self, *_):
        for p in self.processes:
            p.send_signal(signal.SIGTERM)
        for p in self.processes:
            try:
                p.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def pss_mb(self):
        """Of each process that was started, with its children."""
        return [sum(pss_kb(p) for p in tree(process.pid)) / 1024
                for process in self.processes]


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def tree(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [pid] + [p for child in f.read().split()
                        for p in tree(int(child))]


def pss_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f
                    if line.startswith("Pss:"))


def nginx(build, name, directives="", suffix=""):
    port, = free_ports(1)
    run = os.path.abspath(f"{build}/bench/nginx{suffix}")
    os.makedirs(run, exist_ok=True)

    with open(f"{run}/nginx.conf", "w") as f:
        f.write(NGINX.format(
            run=run, port=port, directives=directives,
            module=os.path.abspath(
                f"{build}/nginx/ngx_http_infer_module.so"),
            model=os.path.abspath(f"{build}/models/{name}.onnx")))

    server = Server("nginx", [port])
    server.start([os.environ.get("TEST_NGINX_BINARY", "nginx"), "-p", run,
                  "-e", f"{run}/error.log", "-c", f"{run}/nginx.conf"])
    return server


def fastapi(build, name, workers, threads, wait):
    policy = {} if wait == "default" else {"OMP_WAIT_POLICY": wait}
    server = Server("uvicorn", free_ports(workers))
    for port in server.ports:
        server.start(
            ["/usr/bin/python3", "-m", "uvicorn", "--app-dir", "t/bench",
             "--host", "127.0.0.1", "--port", str(port), "--no-access-log",
             "--log-level", "warning", "--timeout-keep-alive", "75",
             "recipe:app"],
            MODEL=f"{build}/bench/{name}.pt", THREADS=str(threads),
            OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads),
            **policy)
    return server


def answer(port, photo):
    """What the server says about the photograph."""
    body = (b"--x\r\nContent-Disposition: form-data; name=\"file\"; "
            b"filename=\"photo.jpg\"\r\n\r\n" + photo + b"\r\n--x--\r\n")
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", body,
        {"Content-Type": "multipart/form-data; boundary=x"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


class Bench:
    def __init__(self, build, seconds):
        self.build = build
        self.seconds = seconds
        self.photo = f"{build}/bench/photo.jpg"

    def servers(self, name):
        """Functions that make them; ours is the first."""
        return [lambda: nginx(self.build, name)] + [
            lambda c=c: fastapi(self.build, name, *c)
            for c in CONFIGURATIONS]

    def load(self, server, seconds, *options):
        return json.loads(machine.output(
            f"{self.build}/bench/load", *map(str, options), "--seconds",
            str(seconds), self.photo, *map(str, server.ports)))

    def warm_up(self, server):
        with open(self.photo, "rb") as f:
            photo = f.read()

        said = [answer(port, photo) for port in server.ports]
        self.load(server, WARMUP_SECONDS, "--clients", 8)
        return said[0]

    def memory(self, make):
        with make() as server:
            self.warm_up(server)
            return server.pss_mb()

    def closed_loop(self, servers, clients):
        """The median of some turns, for each server."""
        turns = [[self.load(s, self.seconds / TURNS, "--clients", clients)
                  for s in servers] for _ in range(TURNS)]

        merged = [{key: median(r[key] for r in runs) for key in runs[0]}
                  for runs in zip(*turns)]

        for server, *runs in zip(servers, *turns):
            failed = sum(r["failed"] for r in runs)
            if failed:
                print(f"bench: {server.name}: {failed} of "
                      f"{sum(r['requests'] for r in runs)} requests failed",
                      file=sys.stderr)

        return merged

    def highest_rates(self, servers, limit, capacities):
        """
        Bisects for the highest rate of each with p99 below limit; the rate
        and what was measured at it, or 0 and None.
        """
        low = [0] * len(servers)
        high = capacities[:]
        best = [None] * len(servers)

        for _ in range(STEPS):
            for i, server in enumerate(servers):
                rate = (low[i] + high[i]) / 2
                if rate == 0:
                    continue
                r = self.load(server, self.seconds, "--rate", rate,
                              "--limit", limit)
                if r["p99_ms"] is not None and r["p99_ms"] < limit:
                    low[i], best[i] = rate, r
                else:
                    high[i] = rate

        return list(zip(low, best))

    def measure(self, name):
        """A dict for each server."""
        pss = [self.memory(make) for make in self.servers(name)]

        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(make())
                       for make in self.servers(name)]
            answers = [self.warm_up(s) for s in servers]
            one = self.closed_loop(servers, 1)
            eight = self.closed_loop(servers, 8)
            print(f"bench: {name}: closed loops done", file=sys.stderr)

            rates = {}
            for limit in LIMITS_MS:
                # A server that takes longer when idle need not be tried.
                rates[limit] = self.highest_rates(servers, limit, [
                    e["per_second"] * 1.1 if o["p50_ms"] < limit else 0
                    for o, e in zip(one, eight)])
                print(f"bench: {name}: open loop, {limit} ms, done",
                      file=sys.stderr)

        return [{"answer": answers[i], "one": one[i], "eight": eight[i],
                 "rates": {limit: rates[limit][i] for limit in LIMITS_MS},
                 "pss": pss[i]} for i in range(len(servers))]


def write_mlp(path):
    """Images of 28x28 gray pixels, classes, random weights."""
    noise = numpy.random.default_rng(1)
    nodes = [onnx.helper.make_node("Flatten", ["x"], ["h0"])]
    weights = []

    for i, (n, m) in enumerate(zip(MLP, MLP[1:])):
        weights.append(onnx.numpy_helper.from_array(
            noise.normal(0, n ** -0.5, (n, m)).astype("float32"), f"w{i}"))
        nodes.append(onnx.helper.make_node("Gemm", [f"h{i}", f"w{i}"],
                                           [f"g{i}"]))
        nodes.append(onnx.helper.make_node("Relu", [f"g{i}"], [f"h{i + 1}"]))

    def value(name, *shape):
        return onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, ["N", *shape])

    onnx.save(onnx.helper.make_model(
        onnx.helper.make_graph(nodes[:-1], "mlp", [value("x", 1, 28, 28)],
                               [value(f"g{len(MLP) - 2}", MLP[-1])], weights),
        opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)


def batching(build, seconds):
    """infer_batch against its absence: a table."""
    write_mlp(f"{build}/models/mlp.onnx")
    bench = Bench(build, seconds)
    bench.photo = "t/data/fashion/9-boot.png"
    rows = [[f"infer_batch {how}"] for how in BATCHES]

    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(nginx(
            build, "mlp", f"infer_batch {how}; infer_queue 64;", f"-{i}"))
            for i, how in enumerate(BATCHES)]
        answers = [bench.warm_up(s) for s in servers]
        if any(a != answers[0] for a in answers):
            sys.exit(f"infer_batch changes the answer: {answers}")

        for clients in BATCH_CLIENTS:
            runs = bench.closed_loop(servers, clients)
            for row, r in zip(rows, runs):
                row += [f"{r['per_second']:.0f}", f"{r['p50_ms']:.2f}",
                        f"{r['p99_ms']:.2f}"]

    ratio = max(r["per_second"] for r in runs) / runs[0]["per_second"]
    missed = " missed" if ratio < BATCH_TARGET else ""

    print("\n### infer_batch\n")
    print(f"Fully connected layers of {', '.join(map(str, MLP))}, a PNG of "
          "28x28 in a form.\n")
    print(machine.table(
        ["nginx, workers: 2, threads: 1, infer_queue 64",
         *(f"clients: {n}, {what}" for n in BATCH_CLIENTS
           for what in ("requests/s", "p50 ms", "p99 ms"))], rows))
    print(f"\nWith {BATCH_CLIENTS[-1]} clients {ratio:.2f} times the "
          f"requests/s, wanted at least {BATCH_TARGET}{missed}", flush=True)


def median(values):
    """Of those that are there; infinite where none is."""
    return statistics.median([v for v in values if v is not None]
                             or [math.inf])


def rate_cell(rate, run):
    return (f"{rate:.1f} ({run['p50_ms']:.1f}, {run['p99_ms']:.1f})" if run
            else "none")


def measure_row(name, r):
    return [name,
            f"{r['one']['per_second']:.1f}", f"{r['one']['p50_ms']:.1f}",
            f"{r['one']['p99_ms']:.1f}",
            f"{r['eight']['per_second']:.1f}", f"{r['eight']['p50_ms']:.1f}",
            f"{r['eight']['p99_ms']:.1f}",
            *(rate_cell(*r["rates"][limit]) for limit in LIMITS_MS),
            f"{sum(r['pss']):.0f}"]


def verdict_rows(name, ours, theirs):
    """Quantity, ours, the service's best, ratio, target."""
    def missed(bad, text):
        return text + (" missed" if bad else "")

    rows = []
    best = max(t["eight"]["per_second"] for t in theirs)
    ratio = ours["eight"]["per_second"] / best
    wanted = TARGET[name]
    rows.append(["requests/s, 8 clients",
                 f"{ours['eight']['per_second']:.1f}", f"{best:.1f}",
                 f"{ratio:.2f}",
                 missed(ratio < wanted, f"at least {wanted}")])

    for limit in LIMITS_MS:
        rate = ours["rates"][limit][0]
        best = max(t["rates"][limit][0] for t in theirs)
        rows.append([f"requests/s, p99 < {limit} ms", f"{rate:.1f}",
                     f"{best:.1f}", f"{rate / best:.2f}" if best else "",
                     ""])

    least = min(pss for t in theirs for pss in t["pss"])
    ratio = sum(ours["pss"]) / least
    rows.append(["MB (PSS), all of ours, one worker of the service",
                 f"{sum(ours['pss']):.0f}", f"{least:.0f}", f"{ratio:.2f}",
                 missed(ratio > MEMORY, f"at most {MEMORY:.2f}")])

    outside = ours["one"]["outside_p50_ms"]
    rows.append(["ms of a request outside decode, preprocess and run, p50",
                 f"{outside:.2f}", "", "",
                 missed(outside > OUTSIDE_MS, f"at most {OUTSIDE_MS}")])

    return rows


def compare(bench, name):
    ours, *theirs = bench.measure(name)

    a, b = ours["answer"], theirs[0]["answer"]
    if (a["class"] != b["class"]
            or abs(a["confidence"] - b["confidence"]) > 1e-3):
        sys.exit(f"{name}: the servers disagree: {a} and {b}")

    rows = [measure_row("nginx, workers: 2, threads: 1", ours)]
    for (workers, threads, wait), r in zip(CONFIGURATIONS, theirs):
        rows.append(measure_row(f"FastAPI, workers: {workers}, threads: "
                                f"{threads}, {wait}", r))

    print(f"\n### {name}\n")
    print(machine.table(
        ["server", "1 client: requests/s", "p50 ms", "p99 ms",
         "8 clients: requests/s", "p50 ms", "p99 ms",
         *(f"p99 < {limit} ms: requests/s (p50, p99)"
           for limit in LIMITS_MS), "MB (PSS)"], rows))
    print()
    print(machine.table(["", "nginx", "FastAPI's best", "ratio", "wanted"],
                        verdict_rows(name, ours, theirs)), flush=True)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: server.py BUILD")

    build = sys.argv[1]
    seconds = float(os.environ.get("BENCH_SECONDS") or 8)
    names = os.environ.get("BENCH_SERVED", "").split() or list(TARGET)

    subprocess.run(["/usr/bin/python3", "t/bench/torchscript.py",
                    f"{build}/models", f"{build}/bench", *names], check=True)

    bench = Bench(build, seconds)
    size = os.path.getsize(bench.photo)

    print("\n## Servers\n")
    print(machine.head(
        *(f"{p} {machine.version(p)}" for p in
          ("nginx", "python3-fastapi", "python3-uvicorn", "python3-torch",
           "python3-torchvision", "python3-pil")),
        f"a JPEG of 500x375, {size} bytes, in a form; {seconds:g} s for each "
        f"measurement, closed loops in {TURNS} turns; client and server "
        "share the machine",
        "p99 < N ms: the highest rate of an open loop (Poisson) at which the "
        "99th percentile of the time since a request was due is below that"),
        flush=True)

    for name in names:
        compare(bench, name)

    batching(build, seconds)


if __name__ == "__main__":
    main()
