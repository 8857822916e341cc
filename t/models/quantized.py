#!/usr/bin/env python3
"""Quantized models against ONNX Runtime, layer by layer.

Whole networks with QuantizeLinear and DequantizeLinear around every layer,
and small models of each quantized operator: the outputs of every layer agree
within one quantization step on at least 99.9 %.  Run by `make test-models`
from the root of the repository, with BUILD in the environment.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.dont_write_bytecode = True
from quantize import activations, cut, file_name, quantize, ranges

BUILD = os.environ.get("BUILD", "build")
MODELS = os.path.join(BUILD, "models")
INFER = os.path.join(BUILD, "infer")

AGREE = 0.999
FLOATS = 2e-5                       # of the largest, for float results

# What a network of bytes has none of.
FLOAT_OPERATORS = {"conv", "fc", "unary", "binary", "reduce", "affine"}

rng = np.random.default_rng(4)
tests = failed = 0


def ok(passed, what):
    global tests, failed
    tests += 1
    failed += not passed
    print(f"{'ok' if passed else 'not ok'} {tests} - {what}", flush=True)


def call(*args, isa=None):
    env = dict(os.environ, INFER_ISA=isa) if isa else os.environ
    subprocess.check_call(args, env=env, stdout=subprocess.DEVNULL)


def outputs(directory):
    return {f: np.load(os.path.join(directory, f))
            for f in sorted(os.listdir(directory))}


def feeds(inputs):
    return [f"{name}={path}" for name, path in inputs.items()]


def ours(path, inputs, isa=None):
    with tempfile.TemporaryDirectory() as out:
        args = [a for f in feeds(inputs) for a in ("--input", f)]
        call(INFER, "run", path, *args, "--output-dir", out, isa=isa)
        return outputs(out)


def theirs(path, inputs):
    with tempfile.TemporaryDirectory() as out:
        call("node", "t/models/outputs.js", path, out, *feeds(inputs))
        return outputs(out)


def agreement(a, b):
    """The share of elements within a step, or within FLOATS."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return 0.0
    if a.dtype == np.float32:
        return float(np.abs(a - b).max() <= FLOATS * np.abs(b).max())
    if a.dtype == np.int32:
        return float(np.array_equal(a, b))
    return float((np.abs(a.astype(int) - b.astype(int)) <= 1).mean())


# ---- networks --------------------------------------------------------------

def operators(path):
    steps = json.loads(subprocess.check_output(
        [INFER, "bench", path, "--per-op", "--json", "--runs", "1"]))
    return {step["op"] for step in steps["per_op"]}


def compare(what, mine, reference, layers):
    worst, where = min((agreement(mine[k], reference[k]), k)
                       for k in map(file_name, layers))
    ok(worst >= AGREE, f"{what}: {len(layers)} layers, at least "
       f"{100 * worst:.3f} % ({where})")


def network(name, tmp):
    """Each layer is given ONNX Runtime's operands.  As a whole run ResNet-18
    is compared in s8, which ONNX Runtime computes in floats; for u8 either
    side folds scales and zero points in its own way before it rounds, one sum
    in some thousands is a step off, and the random weights make more of that
    with every layer, until nothing can be compared."""
    model = onnx.load(f"{MODELS}/{name}.onnx")
    known = ranges(INFER, model, activations(model),
                   f"{MODELS}/input/224_5.npy")
    path, pieces = (os.path.join(tmp, f) for f in ("qdq.onnx", "cut.onnx"))

    for what, options in (("u8", {}), ("s8", {"signed": True}),
                          ("u8 per tensor", {"per_channel": False})):
        quantized, layers = quantize(model, known, **options)
        onnx.save(quantized, path)

        for image in (0, 1):
            inputs = {"input": f"{MODELS}/input/224_{image}.npy"}
            mine, reference = ours(path, inputs), theirs(path, inputs)
            title = f"{name} {what}, image {image}"

            if name == "resnet18" and what == "s8":
                compare(title, mine, reference, layers)

            tensors = {n: reference[file_name(n)] for n in layers}
            onnx.save(cut(quantized, tensors), pieces)
            fed = dict(inputs)
            for i, (n, a) in enumerate(tensors.items()):
                fed[n + ".in"] = os.path.join(tmp, f"{i}.npy")
                np.save(fed[n + ".in"], a)
            compare(f"{title}, layer by layer", ours(pieces, fed), reference,
                    layers)

        ok(not operators(path) & FLOAT_OPERATORS,
           f"{name} {what}: integers from end to end")

        for isa in ("scalar", "avx2"):
            other = ours(path, inputs, isa)
            ok(all(np.array_equal(other[k], mine[k]) for k in mine),
               f"{name} {what}: {isa} has the same bits")


# ---- single operators ------------------------------------------------------

class Model:
    """A model in the making: constants and inputs from arrays."""

    def __init__(self):
        self.nodes, self.inputs, self.constants = [], {}, []
        self.n = 0

    def name(self):
        self.n += 1
        return f"v{self.n}"

    def constant(self, a):
        self.constants.append(numpy_helper.from_array(np.array(a),
                                                      self.name()))
        return self.constants[-1].name

    def input(self, a):
        name = self.name()
        self.inputs[name] = a
        return name

    def node(self, op, *inputs, n=1, **attributes):
        domain = ""
        if op.startswith("ms."):
            op, domain = op[3:], "com.microsoft"
        out = [self.name() for _ in range(n)]
        self.nodes.append(helper.make_node(op, list(inputs), out,
                                           domain=domain, **attributes))
        return out[0] if n == 1 else out

    def scale(self, scale, zero):
        return self.constant(np.float32(scale)), self.constant(zero)

    def dq(self, x, s):
        return self.node("DequantizeLinear", x, *s)

    def q(self, x, s):
        return self.node("QuantizeLinear", x, *s)

    def save(self, outs, tmp, shapes={}):
        kinds = {np.dtype("f4"): TensorProto.FLOAT,
                 np.dtype("u1"): TensorProto.UINT8,
                 np.dtype("i1"): TensorProto.INT8}
        graph = helper.make_graph(
            self.nodes, "operator",
            [helper.make_tensor_value_info(n, kinds[a.dtype],
                                           shapes.get(n, a.shape))
             for n, a in self.inputs.items()],
            [helper.make_tensor_value_info(n, k, None) for n, k in outs],
            self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13),
                                  helper.make_opsetid("com.microsoft", 1)])
        model.ir_version = 7
        path = os.path.join(tmp, "operator.onnx")
        onnx.save(model, path)
        return path

    def check(self, what, outs, tmp):
        path = self.save(outs, tmp)

        files = {}
        for name, a in self.inputs.items():
            files[name] = os.path.join(tmp, f"{name}.npy")
            np.save(files[name], a)

        try:
            mine, reference = ours(path, files), theirs(path, files)
        except subprocess.CalledProcessError:
            ok(False, f"{what}: does not run")
            return
        share = min(agreement(mine[f], reference[f])
                    for f in (file_name(n) for n, _ in outs))
        ok(share >= AGREE, f"{what}: {100 * share:.2f} %")


def u8(*shape):
    return rng.integers(0, 256, shape, np.uint8)


def s8(*shape):
    return rng.integers(-128, 128, shape, np.int8)


def f32(*shape):
    return rng.standard_normal(shape, dtype=np.float32)


U, S, F, I = (TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT,
              TensorProto.INT32)


def qlinear(tmp):
    for dtype, make, kind in ((np.uint8, u8, U), (np.int8, s8, S)):
        name = dtype.__name__
        zeros = (dtype(100), dtype(120), dtype(90))

        for op in ("Add", "Mul"):
            for shape in ((2, 5, 6, 7), (5, 1, 1), (1,)):
                m = Model()
                y = m.node(f"ms.QLinear{op}", m.input(make(2, 5, 6, 7)),
                           *m.scale(0.02, zeros[0]), m.input(make(*shape)),
                           *m.scale(0.03, zeros[1]), *m.scale(0.05, zeros[2]))
                m.check(f"QLinear{op} {name} {shape}", [(y, kind)], tmp)

        for op, options in (("Sigmoid", {}), ("LeakyRelu", {"alpha": 0.2})):
            m = Model()
            y = m.node(f"ms.QLinear{op}", m.input(make(3, 100)),
                       *m.scale(0.04, zeros[0]), *m.scale(0.02, zeros[1]),
                       **options)
            m.check(f"QLinear{op} {name}", [(y, kind)], tmp)

        for last in (0, 1):
            m = Model()
            y = m.node("ms.QLinearGlobalAveragePool", m.input(make(2, 9, 8, 7)),
                       *m.scale(0.04, zeros[0]), *m.scale(0.01, zeros[1]),
                       channels_last=last)
            m.check(f"QLinearGlobalAveragePool {name} {last}", [(y, kind)],
                    tmp)

        for include in (0, 1):
            m = Model()
            y = m.node("ms.QLinearAveragePool", m.input(make(2, 9, 8, 7)),
                       *m.scale(0.04, zeros[0]), *m.scale(0.03, zeros[1]),
                       kernel_shape=[3, 2], pads=[1, 1, 1, 0],
                       strides=[2, 1], count_include_pad=include)
            m.check(f"QLinearAveragePool {name} {include}", [(y, kind)], tmp)

        m = Model()
        y = m.node("ms.QLinearConcat", *m.scale(0.04, zeros[0]),
                   m.input(make(2, 3, 4)), *m.scale(0.04, zeros[0]),
                   m.input(make(2, 5, 4)), *m.scale(0.03, zeros[1]), axis=1)
        m.check(f"QLinearConcat {name}", [(y, kind)], tmp)

        m = Model()
        y = m.node("ms.QLinearSoftmax", m.input(make(4, 10)),
                   *m.scale(0.04, zeros[0]),
                   *m.scale(1 / 256, dtype(0 if kind == U else -128)),
                   axis=-1, opset=13)
        m.check(f"QLinearSoftmax {name}", [(y, kind)], tmp)


def products(tmp):
    for make, zero, weights, wzero in (
            (u8, np.uint8(130), s8, np.int8(0)),
            (u8, np.uint8(130), u8, np.uint8(128)),
            (u8, np.uint8(130), u8, np.uint8(7)),
            (s8, np.int8(-5), s8, np.int8(0)),
            (s8, np.int8(-5), s8, np.int8(3))):
        name = f"{zero.dtype} {wzero.dtype} {wzero}"
        kind = U if make is u8 else S

        m = Model()
        y = m.node("QLinearConv", m.input(make(2, 8, 9, 9)),
                   *m.scale(0.02, zero), m.constant(weights(6, 4, 3, 3)),
                   *m.scale(0.01, wzero), *m.scale(0.2, zero),
                   m.constant(rng.integers(-9999, 9999, 6).astype(np.int32)),
                   group=2, pads=[1, 1, 1, 1], strides=[2, 1])
        m.check(f"QLinearConv {name}", [(y, kind)], tmp)

        m = Model()
        y = m.node("QLinearMatMul", m.input(make(3, 5, 40)),
                   *m.scale(0.02, zero), m.constant(weights(40, 9)),
                   *m.scale(0.01, wzero), *m.scale(0.2, zero))
        m.check(f"QLinearMatMul {name}", [(y, kind)], tmp)

        m = Model()
        y = m.node("MatMulInteger", m.input(make(3, 5, 40)),
                   m.constant(weights(40, 9)), m.constant(zero),
                   m.constant(wzero))
        m.check(f"MatMulInteger {name}", [(y, I)], tmp)

        m = Model()
        y = m.node("MatMulInteger", m.input(make(3, 5, 40)),
                   m.input(weights(40, 9)), m.constant(zero),
                   m.constant(wzero))
        m.check(f"MatMulInteger of inputs {name}", [(y, I)], tmp)

        if make is u8 and wzero.dtype == np.uint8:
            m = Model()
            y = m.node("ConvInteger", m.input(make(2, 8, 9, 9)),
                       m.constant(weights(6, 4, 3, 3)), m.constant(zero),
                       m.constant(wzero), group=2, pads=[1, 0, 1, 1])
            m.check(f"ConvInteger {name}", [(y, I)], tmp)

    for signed in (0, 1):
        m = Model()
        y = m.node("ms.QGemm", m.input(u8(7, 40)), *m.scale(0.02, np.uint8(9)),
                   m.constant(s8(11, 40)),
                   m.constant(rng.uniform(0.01, 0.02, 11).astype(np.float32)),
                   m.constant(np.zeros(11, np.int8)),
                   m.constant(rng.integers(-9999, 9999, 11).astype(np.int32)),
                   *(m.scale(0.3, np.uint8(99)) if signed else ()), transB=1,
                   alpha=0.5)
        m.check("QGemm" + " of floats" * (1 - signed),
                [(y, U if signed else F)], tmp)


def fused(tmp):
    for act, param in (("Relu", None), ("LeakyRelu", [0.3]),
                       ("Clip", [-0.5, 1.0]), ("HardSigmoid", [0.25, 0.4]),
                       ("Tanh", None), ("Sigmoid", None)):
        m = Model()
        extra = {"activation_params": param} if param else {}
        z = [m.input(f32(2, 6, 9, 9))] if act == "Relu" else []
        y = m.node("ms.FusedConv", m.input(f32(2, 8, 9, 9)),
                   m.constant(0.1 * f32(6, 8, 3, 3)), m.constant(f32(6)), *z,
                   pads=[1, 1, 1, 1], activation=act, **extra)
        m.check(f"FusedConv, {act}", [(y, F)], tmp)


def trained(tmp):
    """What PyTorch writes of a network trained for quantization: float
    weights that are quantized in the model, activations clipped to 7 bits,
    zero points that are cast."""
    m = Model()
    s = (m.constant(np.float32(0.02)),
         m.node("Cast", m.constant(np.int64(60)), to=U))
    x = m.q(m.input(f32(2, 8, 9, 9)), s)
    x = m.node("Clip", x, m.constant(np.uint8(0)), m.constant(np.uint8(127)))
    w = (m.constant(rng.uniform(0.01, 0.02, 6).astype(np.float32)),
         m.constant(np.zeros(6, np.int8)))
    q = m.node("QuantizeLinear", m.constant(f32(6, 8, 3, 3)), *w, axis=0)
    q = m.node("DequantizeLinear", q, *w, axis=0)
    y = m.node("Conv", m.dq(x, s), q, m.constant(f32(6)))
    y = m.q(m.node("Relu", y), m.scale(0.05, np.uint8(0)))
    m.check("trained for quantization", [(y, U)], tmp)
    ok("qconv" in operators(os.path.join(tmp, "operator.onnx")),
       "its convolution is one of integers")


def dynamic(tmp):
    m = Model()
    q, s, z = m.node("DynamicQuantizeLinear", m.input(f32(5, 40)), n=3)
    y = m.node("MatMulInteger", q, m.constant(s8(40, 9)), z,
               m.constant(np.int8(0)))
    y = m.node("Mul", m.node("Cast", y, to=F),
               m.node("Mul", s, m.constant(np.float32([0.01] * 9))))
    y = m.node("Relu", m.node("Add", m.constant(f32(9)), y))
    m.check("quantize_dynamic's MatMul", [(y, F)], tmp)

    m = Model()
    q, s, z = m.node("DynamicQuantizeLinear", m.input(f32(1, 4, 9, 9)), n=3)
    y = m.node("ConvInteger", q, m.constant(u8(6, 4, 3, 3)), z,
               m.constant(np.uint8(128)), pads=[1, 1, 1, 1])
    y = m.node("Mul", m.node("Cast", y, to=F),
               m.node("Mul", s, m.constant(np.float32(0.01))))
    m.check("quantize_dynamic's Conv", [(y, F)], tmp)

    for wzero, weights in ((np.int8(0), s8), (np.uint8(128), u8),
                           (np.uint8(3), u8)):
        m = Model()
        y = m.node("ms.DynamicQuantizeMatMul", m.input(f32(2, 5, 40)),
                   m.constant(weights(40, 9)),
                   m.constant(rng.uniform(0.01, 0.02, 9).astype(np.float32)),
                   m.constant(np.full(9, wzero)), m.constant(f32(9)))
        m.check(f"DynamicQuantizeMatMul {wzero.dtype} {wzero}", [(y, F)], tmp)

    m = Model()
    q, s, z = m.node("DynamicQuantizeLinear", m.input(f32(5, 40)), n=3)
    y = m.node("ms.MatMulIntegerToFloat", q, m.constant(s8(40, 9)), s,
               m.constant(np.float32(0.02)), z, m.constant(np.int8(0)),
               m.constant(f32(9)))
    m.check("MatMulIntegerToFloat", [(y, F)], tmp)


def batches(tmp):
    """What is quantized with a scale of its own: five images at once are
    each of them alone, to the bit."""
    for shape in ((40,), (7, 40)):
        m = Model()
        x = m.input(f32(5, *shape))
        q, s, z = m.node("DynamicQuantizeLinear", x, n=3)
        y = m.node("MatMulInteger", q, m.constant(s8(40, 9)), z)
        y = m.node("Mul", m.node("Cast", y, to=F),
                   m.node("Mul", s, m.constant(np.float32([0.01] * 9))))
        m.node("ms.DynamicQuantizeMatMul", m.node("Relu", y),
               m.constant(s8(9, 6)), m.constant(np.float32(0.02)))
        path = m.save([(m.nodes[-1].output[0], F)], tmp,
                      shapes={x: ["N", *shape]})

        results = []
        for part in (m.inputs[x], *(m.inputs[x][i:i + 1] for i in range(5))):
            file = os.path.join(tmp, "part.npy")
            np.save(file, part)
            results.append(*ours(path, {x: file}).values())
        ok(np.array_equal(results[0], np.concatenate(results[1:])),
           f"dynamic scales of {5, *shape}")
        ok(operators(path) <= {"dynamic_quantize", "qfc", "reshape",
                               "expand"}, f"{operators(path)}")


def moved(tmp):
    """Between dequantize and quantize: what becomes a table, or moves."""
    for dtype, kind in ((np.uint8, U), (np.int8, S)):
        zero, other = dtype(100), dtype(50)

        def between(what, shape, body, scale=0.03):
            m = Model()
            s = m.scale(0.04, zero)
            x = m.dq(m.q(m.input(3 * f32(*shape)), s), s)
            y = m.q(body(m, x), m.scale(scale, other))
            m.check(f"{what} {dtype.__name__}", [(y, kind)], tmp)

        def c(m, x):
            return m.constant(np.float32(x))

        between("requantize", (3, 50), lambda m, x: x)
        between("Sigmoid", (3, 50), lambda m, x: m.node("Sigmoid", x), 0.01)
        between("x * sigmoid(x)", (3, 50),
                lambda m, x: m.node("Mul", x, m.node("Sigmoid", x)))
        between("hard-swish in parts", (3, 50), lambda m, x: m.node(
            "Div", m.node("Mul", x, m.node("Clip", m.node("Add", x, c(m, 3)),
                                           c(m, 0), c(m, 6))), c(m, 6)))
        between("MaxPool", (2, 3, 8, 8), lambda m, x: m.node(
            "MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        between("AveragePool", (2, 3, 8, 8), lambda m, x: m.node(
            "AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        between("GlobalAveragePool", (2, 3, 8, 8), lambda m, x: m.node(
            "Flatten", m.node("GlobalAveragePool", x)), 0.01)
        between("Pad", (2, 3, 8, 8), lambda m, x: m.node(
            "Pad", x, m.constant(np.array([0, 0, 1, 1, 0, 0, 1, 2]))))
        between("Pad with 0.5", (2, 3, 8, 8), lambda m, x: m.node(
            "Pad", x, m.constant(np.array([0, 0, 1, 1, 0, 0, 1, 2])),
            c(m, 0.5)))
        between("Concat", (2, 3, 8, 8), lambda m, x: m.node(
            "Concat", x, m.node("Relu", x), axis=1))
        between("Slice, Transpose", (2, 3, 8, 8), lambda m, x: m.node(
            "Transpose", m.node("Slice", x, m.constant(np.array([1])),
                                m.constant(np.array([7])),
                                m.constant(np.array([3]))),
            perm=[0, 2, 3, 1]))
        between("Resize", (2, 3, 8, 8), lambda m, x: m.node(
            "Resize", x, "", m.constant(np.float32([1, 1, 2, 2])),
            mode="nearest", coordinate_transformation_mode="asymmetric",
            nearest_mode="floor"))
        between("Sub of itself turned", (8, 8), lambda m, x: m.node(
            "Sub", x, m.node("Transpose", x, perm=[1, 0])))
        between("Softmax", (3, 50), lambda m, x: m.node("Softmax", x), 0.003)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        qlinear(tmp)
        products(tmp)
        fused(tmp)
        trained(tmp)
        dynamic(tmp)
        batches(tmp)
        moved(tmp)
        for name in ("resnet18", "mobilenet_v2", "mobilenet_v3_small",
                     "googlenet"):
            network(name, tmp)

    print(f"1..{tests}")
    sys.exit(failed > 0)


main()
