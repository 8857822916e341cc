#!/usr/bin/python3
"""Quantizes an ONNX model for tests and benchmarks: QuantizeLinear and
DequantizeLinear around every layer, scales from the least and the largest
value that one run has seen.  Nothing is done for accuracy.

    quantize.py INFER MODEL.onnx INPUT.npy OUT.onnx
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Operators whose result has the scale of their operand.
SAME = {"MaxPool", "Flatten", "Reshape", "Transpose"}
# Operators that belong to the layer in front of them.
CLOSING = {"Relu", "Clip"}
WEIGHTED = {"Conv", "Gemm"}
LAYERS = SAME | CLOSING | WEIGHTED | {
    "Add", "AveragePool", "Concat", "GlobalAveragePool", "HardSigmoid",
    "HardSwish", "Mul", "ReduceMean", "Sigmoid"}


def activations(model):
    """The tensors to quantize: results of layers that no closing operator
    takes alone, in the order of the graph."""
    users = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node.op_type)

    names = [model.graph.input[0].name]
    for node in model.graph.node:
        if node.op_type not in LAYERS:
            continue
        if any(u not in CLOSING for u in users.get(node.output[0], [""])):
            names.append(node.output[0])
    return names


def with_outputs(model, names):
    """The same model with more outputs."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    inputs = {i.name for i in model.graph.input}
    outputs = {o.name for o in model.graph.output}
    for name in names:
        if name not in inputs and name not in outputs:
            model.graph.output.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return model


def file_name(name):
    """Of the file that `infer run --output-dir` writes a tensor to."""
    return name.replace("/", "_").replace(":", "_") + ".npy"


def ranges(infer, model, names, path):
    """The least and the largest value of each tensor on the images of an
    .npy file."""
    def extent(a):
        return float(a.min()), float(a.max())

    with tempfile.TemporaryDirectory() as tmp:
        file = os.path.join(tmp, "float.onnx")
        onnx.save(with_outputs(model, names), file)
        subprocess.check_call([infer, "run", file, "--input", path,
                               "--output-dir", tmp],
                              stdout=subprocess.DEVNULL)
        return {n: extent(np.load(path if n == model.graph.input[0].name
                                  else os.path.join(tmp, file_name(n))))
                for n in names}


class Quantizer:
    def __init__(self, model, ranges, signed, per_channel):
        self.model = model
        self.signed = signed
        self.per_channel = per_channel
        self.ranges = ranges
        self.nodes = []
        self.constants = {i.name: i for i in model.graph.initializer}
        self.new = []
        self.scale = {}               # of an activation
        self.layers = []              # quantized tensors

    def constant(self, name, a):
        self.new.append(numpy_helper.from_array(a, name))
        return name

    def activation(self, name, same=None):
        """Q and DQ behind a tensor; returns the name of its floats."""
        if same:
            scale, zero = self.scale[same]
        else:
            low, high = self.ranges[name]
            low, high = min(low, 0.0), max(high, 0.0)
            scale = np.float32(max(high - low, 1e-6) / 255)
            zero = np.rint(-low / scale)
            zero = (np.int8(zero - 128) if self.signed else np.uint8(zero))
        self.scale[name] = scale, zero

        s = self.constant(name + ".scale", np.array(scale, np.float32))
        z = self.constant(name + ".zero", np.array(zero))
        q, dq = name + ".q", name + ".dq"
        self.nodes += [helper.make_node("QuantizeLinear", [name, s, z], [q]),
                       helper.make_node("DequantizeLinear", [q, s, z], [dq])]
        self.layers.append(q)
        return dq

    def weights(self, name, transposed):
        w = numpy_helper.to_array(self.constants[name])
        axis = 0 if transposed else 1
        others = tuple(i for i in range(w.ndim) if i != axis)
        largest = np.abs(w).max(axis=others if self.per_channel else None,
                                keepdims=True)
        scale = np.maximum(largest / 127, 1e-9).astype(np.float32)
        q = np.clip(np.rint(w / scale), -127, 127).astype(np.int8)
        s = scale.reshape(-1) if self.per_channel else scale.reshape(())

        out = name + ".dq"
        self.nodes.append(helper.make_node(
            "DequantizeLinear",
            [self.constant(name + ".q", q), self.constant(name + ".scale", s),
             self.constant(name + ".zero", np.zeros(s.shape, np.int8))],
            [out], axis=axis))
        return out, s

    def bias(self, name, scale):
        b = numpy_helper.to_array(self.constants[name])
        scale = np.broadcast_to(scale, b.shape).astype(np.float32)
        q = np.rint(b / scale).astype(np.int32)

        out = name + ".dq"
        self.nodes.append(helper.make_node(
            "DequantizeLinear",
            [self.constant(name + ".q", q),
             self.constant(name + ".scale", scale)], [out], axis=0))
        return out

    def run(self):
        names = set(activations(self.model))
        floats = {}
        first = self.model.graph.input[0].name
        floats[first] = self.activation(first)

        for node in self.model.graph.node:
            new = onnx.NodeProto.FromString(node.SerializeToString())
            if node.op_type in WEIGHTED:
                transposed = node.op_type == "Conv" or any(
                    a.name == "transB" and a.i for a in node.attribute)
                new.input[1], s = self.weights(node.input[1], transposed)
                if len(node.input) > 2:
                    new.input[2] = self.bias(
                        node.input[2], self.scale[node.input[0]][0] * s)
            for i, name in enumerate(node.input):
                if name in floats:
                    new.input[i] = floats[name]
            self.nodes.append(new)

            name = node.output[0]
            if name in names:
                floats[name] = self.activation(
                    name, node.input[0] if node.op_type in SAME else None)

        return self.result(floats)

    def result(self, floats):
        graph = self.model.graph
        outputs = [helper.make_tensor_value_info(floats[o.name],
                                                 TensorProto.FLOAT, None)
                   for o in graph.output]
        kind = TensorProto.INT8 if self.signed else TensorProto.UINT8
        outputs += [helper.make_tensor_value_info(q, kind, None)
                    for q in self.layers]
        used = {i for n in self.nodes for i in n.input}
        kept = [i for i in graph.initializer if i.name in used]
        model = helper.make_model(
            helper.make_graph(self.nodes, "quantized", list(graph.input),
                              outputs, kept + self.new),
            opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 7
        return model, self.layers


def quantize(model, ranges, signed=False, per_channel=True):
    """A QDQ model whose outputs are also the quantized tensors of all layers,
    and their names.  ranges: name -> (least, largest)."""
    return Quantizer(model, ranges, signed, per_channel).run()


def write(infer, source, path, target):
    """A QDQ model with the outputs of the model it is made from."""
    model = onnx.load(source)
    n = len(model.graph.output)
    known = ranges(infer, model, activations(model), path)
    quantized, _ = quantize(model, known)
    del quantized.graph.output[n:]
    onnx.save(quantized, target + ".part")
    os.rename(target + ".part", target)


def cut(model, layers):
    """The model in pieces: every layer takes the quantized tensors in front
    of it from inputs of the model, NAME.in.  layers: name -> array."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    kinds = {np.dtype("u1"): TensorProto.UINT8,
             np.dtype("i1"): TensorProto.INT8}
    for name, a in layers.items():
        model.graph.input.append(helper.make_tensor_value_info(
            name + ".in", kinds[a.dtype], a.shape))
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in layers:
            node.input[0] += ".in"
    return model


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: quantize.py INFER MODEL.onnx INPUT.npy OUT.onnx")
    write(*sys.argv[1:])
