#!/usr/bin/python3
"""Quantized TorchScript archives against PyTorch.

    torchquantized.py BUILD [NAME...]

ResNet-18 and MobileNetV2, quantized in eager mode and by FX, for two of
PyTorch's engines (onednn: a scale for each channel of the weights; qnnpack: one
for all), traced, scripted and frozen; and a model of quantize_dynamic.  They must
run on integer kernels, the three forms alike, and give the same bits on every
instruction set.

They are compared layer by layer: each layer of the network, traced, is given
what PyTorch's layer before it gave; at least 99.9 % of its outputs must be
within one quantization step.  As a whole nothing can be compared: PyTorch's two
engines round sums that lie between two steps in different ways, and random
weights make more of that with every layer.  What quantize_dynamic made is
compared as a whole, to 1e-5 of the largest output: it gives floats.

Archives, inputs and outputs lie in BUILD/models/torchquantized.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
import torch.ao.quantization as quantization
import torchvision
from torch import fx, nn
from torch.ao.quantization import quantize_fx

sys.dont_write_bytecode = True
import export

AGREE = 0.999
FLOATS = 1e-5
ENGINES = ("onednn", "qnnpack")
NETWORKS = ("resnet18", "mobilenet_v2")
FORMS = ("traced", "scripted", "frozen")
CHUNK = 24                          # layers in one archive

# What a network of bytes has none of.
FLOAT_OPERATORS = {"conv", "fc", "unary", "binary", "reduce", "affine",
                   "matmul", "softmax"}

tests = failed = 0


def ok(passed, what):
    global tests, failed
    tests += 1
    failed += not passed
    print(f"{'ok' if passed else 'not ok'} {tests} - {what}", flush=True)


# ---- archives --------------------------------------------------------------

def eager(name, model, engine, images):
    q = getattr(torchvision.models.quantization, name)(quantize=False)
    q.load_state_dict(model.state_dict())
    q.eval().fuse_model()
    q.qconfig = quantization.get_default_qconfig(engine)
    q = quantization.prepare(q)
    for x in images:
        q(x)
    return quantization.convert(q)


def graph(name, model, engine, images):
    q = quantize_fx.prepare_fx(
        model, quantization.get_default_qconfig_mapping(engine),
        (images[0][:1],))
    for x in images:
        q(x)
    return quantize_fx.convert_fx(q)


class Dynamic(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(784, 64)
        self.b = nn.Linear(64, 10)

    def forward(self, x):
        return self.b(torch.relu(self.a(x.flatten(1))))


class Layers(fx.Interpreter):
    """Runs a model and keeps what each layer gave."""

    def run_layers(self, x):
        self.seen = {}
        self.run(x)
        return self.seen

    def run_node(self, n):
        y = super().run_node(n)
        self.seen[n] = y.clone() if is_quantized(y) else y  # may be written
        return y


def is_quantized(v):
    return isinstance(v, torch.Tensor) and v.is_quantized


def is_layer(n, seen):
    return (n.op in ("call_module", "call_function", "call_method")
            and is_quantized(seen[n])
            and any(is_quantized(seen[a]) for a in n.all_input_nodes))


def pieces(model, seen, layers):
    """A module of these layers, each with inputs of its own: floats."""
    cut = fx.Graph()
    fed = {}
    for n in layers:
        for a in n.all_input_nodes:
            if is_quantized(seen[a]) and a not in fed:
                fed[a] = cut.placeholder(f"x{len(fed)}")

    def operand(a):
        q = seen[a]
        if a in fed:
            return cut.call_function(
                torch.quantize_per_tensor,
                (fed[a], q.q_scale(), q.q_zero_point(), q.dtype))
        return cut.node_copy(a) if a.op == "get_attr" else q

    cut.output(tuple(
        cut.call_method("dequantize", (cut.node_copy(n, operand),))
        for n in layers))
    return fx.GraphModule(model, cut), [seen[a].dequantize() for a in fed]


def save_forms(path, model, x):
    os.makedirs(path, exist_ok=True)
    torch.jit.trace(model, x).save(os.path.join(path, "traced.pt"))
    scripted = torch.jit.script(model)
    scripted.save(os.path.join(path, "scripted.pt"))
    torch.jit.freeze(scripted).save(os.path.join(path, "frozen.pt"))
    np.save(os.path.join(path, "x.npy"), x.numpy())
    np.save(os.path.join(path, "y.npy"), model(x).numpy())


def save_layers(path, model, x):
    model = model if isinstance(model, fx.GraphModule) \
        else fx.symbolic_trace(model)
    seen = Layers(model).run_layers(x)
    layers = [n for n in model.graph.nodes if is_layer(n, seen)]

    for first in range(0, len(layers), CHUNK):
        chunk = layers[first:first + CHUNK]
        cut, fed = pieces(model, seen, chunk)
        base = os.path.join(path, f"layers_{first:03}")
        torch.jit.trace(cut, tuple(fed)).save(base + ".pt")
        np.savez(base + ".npz",
                 names=np.array([n.name for n in chunk]),
                 steps=np.array([seen[n].q_scale() for n in chunk]),
                 **{f"in{i}": v.numpy() for i, v in enumerate(fed)},
                 **{f"out{i}": seen[n].dequantize().numpy()
                    for i, n in enumerate(chunk)})


def save(path):
    images = [torch.from_numpy(export.images(4, 224, s)) for s in (1, 2)]
    x = torch.from_numpy(export.images(1, 224, 7))

    for engine in ENGINES:
        torch.backends.quantized.engine = engine

        # qnnpack ignores the reduced range that the archive asks for
        if engine != "qnnpack":
            torch.manual_seed(1)
            save_forms(os.path.join(path, engine, "dynamic"),
                       torch.quantization.quantize_dynamic(
                           Dynamic().eval(), {nn.Linear}, torch.qint8),
                       torch.rand(1, 1, 28, 28))

        for name in NETWORKS:
            model = export.build(name)
            for make in (eager, graph):
                # its clamp of channels-last tensors, which FX makes of ReLU6,
                # mixes up their elements
                if engine == "qnnpack" and name == "mobilenet_v2" \
                        and make is graph:
                    continue

                where = os.path.join(path, engine, f"{name}_{make.__name__}")
                q = make(name, model, engine, images)
                save_forms(where, q, x)
                save_layers(where, q, x)

    open(os.path.join(path, "done"), "w").close()


# ---- operators -------------------------------------------------------------

Q = torch.ops.quantized


# Made once, outside of what is traced.
@functools.lru_cache(None)
def data(*shape):
    rng = np.random.default_rng(sum(shape))
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


@functools.lru_cache(None)
def weights(*shape):
    return torch.quantize_per_channel(
        data(*shape), torch.linspace(0.01, 0.03, shape[0]),
        torch.zeros(shape[0], dtype=torch.long), 0, torch.qint8)


def conv1d(x):
    w = Q.conv1d_prepack(weights(6, 4, 3), data(6), [1], [1], [1], 2)
    return Q.conv1d_relu(x[:, :, 0], w, 0.1, 9)


def conv3d(x):
    w = Q.conv3d_prepack(weights(6, 1, 2, 3, 3), None, [1, 2, 1], [0, 1, 1],
                         [1, 1, 1], 1)
    return Q.conv3d(x.unsqueeze(1), w, 0.1, 120)


def linear(x):
    return Q.linear_relu(x, Q.linear_prepack(weights(7, 10), data(7)), 0.1, 3)


def norm(x, kind):
    return kind(x, data(8), data(8), data(8), data(8).abs() + 1, 1e-5, 0.1, 90)


# name: function of a quantized tensor of (N, 8, 6, 10)
OPERATORS = {
    "conv1d": conv1d,
    "conv3d": conv3d,
    "linear": linear,
    "add": lambda x: Q.add(x, x.flip(3), 0.07, 128),
    "add_relu": lambda x: Q.add_relu(x, x.flip(2), 0.05, 0),
    "mul": lambda x: Q.mul(x, torch.sigmoid(x), 0.03, 128),
    "mul_relu": lambda x: Q.mul_relu(x, torch.sigmoid(x[:, :, :1, :1]),
                                     0.02, 3),
    "add_scalar": lambda x: Q.add_scalar(x, 1.3),
    "add_scalar_far": lambda x: Q.add_scalar_relu(x, 7.0),
    "add_scalar_below": lambda x: Q.add_scalar(x, -9.0),
    "mul_scalar": lambda x: Q.mul_scalar(x, 0.7),
    "mul_scalar_negative": lambda x: Q.mul_scalar_relu(x, -0.7),
    "cat": lambda x: Q.cat([x, torch.relu(x), x[:, :3]], 1, 0.05, 110),
    "cat_relu": lambda x: Q.cat_relu([x, x], 1, 0.02, 0),
    "torch.cat": lambda x: torch.cat([x, torch.sigmoid(x)], 1),
    "hardswish": lambda x: Q.hardswish(x, 0.03, 12),
    "sigmoid": lambda x: Q.sigmoid(x, 1 / 256, 0),
    "relu6": lambda x: Q.relu6(x, False),
    "leaky_relu": lambda x: Q.leaky_relu(x, 0.2, False, 0.03, 40),
    "elu": lambda x: Q.elu(x, 0.03, 40, 0.8),
    "celu": lambda x: Q.celu(x, 0.03, 40, 0.8),
    "batch_norm2d": lambda x: norm(x, Q.batch_norm2d),
    "batch_norm2d_relu": lambda x: norm(x, Q.batch_norm2d_relu),
    "layer_norm": lambda x: Q.layer_norm(x, [10], data(10), data(10), 1e-5,
                                         0.05, 128),
    "group_norm": lambda x: Q.group_norm(x, 2, data(8), data(8), 1e-5, 0.05,
                                         128),
    "relu": torch.relu,
    "clamp": lambda x: torch.clamp(x, -0.5, 1.2),
    "hardtanh_": lambda x: nn.functional.hardtanh(x, -0.5, 0.7, True),
    "torch.sigmoid": torch.sigmoid,
    "hardsigmoid": nn.functional.hardsigmoid,
    "tanh": torch.tanh,
    "mean": lambda x: x.mean([2, 3]),
    "max_pool2d": lambda x: nn.functional.max_pool2d(x, 3, 2, 1),
    "avg_pool2d": lambda x: nn.functional.avg_pool2d(x, 3, 2, 1),
    "adaptive_avg": lambda x: nn.functional.adaptive_avg_pool2d(x, 1),
    "adaptive_avg_parts": lambda x: nn.functional.adaptive_avg_pool2d(x, 2),
    "nearest": lambda x: nn.functional.interpolate(x, scale_factor=2),
    "bilinear": lambda x: nn.functional.interpolate(
        x, (9, 13), mode="bilinear", align_corners=False),
    "moved": lambda x: x.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2)
        .reshape(-1, 8, 6, 10)[:, 1:, ::2].chunk(2, 1)[1].unsqueeze(2)
        .squeeze(2).contiguous(),
}


class Operator(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        x = torch.quantize_per_tensor(x, 0.04, 120, torch.quint8)
        return self.function(x).dequantize()


def check_operators(infer):
    torch.backends.quantized.engine = "onednn"
    x = 2 * data(3, 8, 6, 10)
    q = torch.quantize_per_tensor(x, 0.04, 120, torch.quint8)

    for name, function in OPERATORS.items():
        with torch.no_grad(), tempfile.TemporaryDirectory() as tmp:
            want = function(q.clone())
            path = os.path.join(tmp, "m.pt")
            torch.jit.trace(Operator(function), x[:1]).save(path)

            try:
                got = run(infer, path, {"x": x.numpy()})["output"]
            except subprocess.CalledProcessError:
                ok(False, f"{name} does not run")
                continue

            ok(got.shape == want.shape, f"{name}: {got.shape}")
            share = (np.abs(got - want.dequantize().numpy())
                     < 1.5 * want.q_scale()).mean()
            ok(share >= AGREE, f"{name}: {100 * share:.2f} % within a step")


# ---- runs ------------------------------------------------------------------

def shapes(inputs):
    return [a for name, v in inputs.items() for a in
            ("--input-shape", name + "=" + "x".join(map(str, ("N",)
                                                        + v.shape[1:])))]


def run(infer, model, inputs, isa=None):
    env = dict(os.environ, INFER_ISA=isa) if isa else os.environ

    with tempfile.TemporaryDirectory() as tmp:
        args = []
        for name, v in inputs.items():
            np.save(os.path.join(tmp, name + ".npy"), v)
            args += ["--input", f"{name}={tmp}/{name}.npy"]

        out = os.path.join(tmp, "out")
        os.mkdir(out)
        subprocess.run([infer, "run", model, *args, *shapes(inputs),
                        "--output-dir", out], check=True, env=env,
                       stdout=subprocess.DEVNULL)
        return {f[:-4]: np.load(os.path.join(out, f))
                for f in os.listdir(out)}


def operators(infer, model, inputs):
    steps = json.loads(subprocess.check_output(
        [infer, "bench", model, "--per-op", "--json", "--runs", "1",
         *shapes(inputs)]))
    return [step["op"] for step in steps["per_op"]]


def check_layers(infer, path, title):
    worst, where, n = 1.0, "", 0

    for file in sorted(f for f in os.listdir(path) if f.endswith(".npz")):
        data = np.load(os.path.join(path, file))
        inputs = {k.replace("in", "x"): data[k] for k in data
                  if k.startswith("in")}
        mine = run(infer, os.path.join(path, file[:-4] + ".pt"), inputs)

        for i, (name, step) in enumerate(zip(data["names"], data["steps"])):
            want = data[f"out{i}"]
            got = mine[f"output_{i}" if len(data["names"]) > 1 else "output"]
            share = (np.abs(got - want) < 1.5 * step).mean() \
                if got.shape == want.shape else 0
            n += 1
            if share < worst:
                worst, where = share, f" ({name})"

    ok(n > 0 and worst >= AGREE, f"{title}: {n} layers, at least "
       f"{100 * worst:.3f} % within a step{where}")


def check(infer, path, title):
    x = {"x": np.load(os.path.join(path, "x.npy"))}
    y = np.load(os.path.join(path, "y.npy"))
    models = [os.path.join(path, form + ".pt") for form in FORMS]
    first, *others = [run(infer, m, x)["output"] for m in models]

    ok(all(np.array_equal(first, o) for o in others),
       f"{title}: {', '.join(FORMS)} give the same bits")
    ok(all(np.array_equal(first, run(infer, models[0], x, isa)["output"])
           for isa in ("scalar", "avx2")),
       f"{title}: the same bits on every instruction set")

    for model, form in zip(models, FORMS):
        ops = operators(infer, model, x)
        n = len([op for op in ops if op in ("qconv", "qfc")])
        ok(n > 1 and not set(ops) & FLOAT_OPERATORS,
           f"{title} {form}: {n} products, all of integers")

    if "dynamic" in title:
        error = np.abs(first - y).max() / np.abs(y).max()
        ok(error <= FLOATS, f"{title}: {error:.1e} from PyTorch")
    else:
        check_layers(infer, path, title)


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: torchquantized.py BUILD [NAME...]")

    warnings.filterwarnings("ignore")
    infer = os.path.join(sys.argv[1], "infer")
    path = os.path.join(sys.argv[1], "models", "torchquantized")
    done = os.path.join(path, "done")

    if not (os.path.exists(done)
            and os.path.getmtime(done) > os.path.getmtime(__file__)):
        with torch.no_grad():
            save(path)

    if not sys.argv[2:] or "operators" in sys.argv[2:]:
        check_operators(infer)

    for engine in ENGINES:
        for name in sorted(os.listdir(os.path.join(path, engine))):
            if not sys.argv[2:] or name in sys.argv[2:]:
                check(infer, os.path.join(path, engine, name),
                      f"{engine} {name}")

    print(f"1..{tests}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
