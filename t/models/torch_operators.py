#!/usr/bin/python3
"""Operators of TorchScript against PyTorch, one small function each.

    torch_operators.py BUILD [PATTERN]

Each is traced for a batch of 1, saved, and run by BUILD/infer on a batch of 3:
what it gives must be PyTorch's in shape and dtype, and to 1e-5 of the largest.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
import warnings
import zipfile

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

TOLERANCE = 1e-5
IMAGE = (6, 8, 10)
ROWS = (12,)


def parameter(*shape):
    rng = np.random.default_rng(sum(shape))
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def write_part(x):
    y = x * 1
    y[:, 1:3, 2] = 7
    y[:, 0] += x[:, 1]
    return y


def write_view(x):
    y = x * 1
    y[:, 2].mul_(3)
    return y + y[:, 2:3]


def write_mask(x):
    y = x * 1
    y[x > 0.5] = -2
    y[:, :2][x[:, :2] < 0] = 3
    z = y.permute(0, 2, 3, 1) * 1
    z[x[:, 0] < 0] = 4
    return z


def index_of(x, *shape):
    rng = np.random.default_rng(3)
    index = torch.from_numpy(rng.integers(0, 6, (1,) + shape))
    return index.repeat(x.shape[0], 1, 1, 1)


def encoder(**options):
    """nn.TransformerEncoder, of which eval() traces the fast path."""
    torch.manual_seed(2)
    layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, **options)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    for p in model.parameters():
        p.requires_grad_(False)
        p.add_(0.1 * parameter(*p.shape))
    return model


def attention(x, mask=None, causal=False):
    """What PyTorch 2.0 has a name of its own for: see newer()."""
    k = x * 0.5 + 1
    return F._scaled_dot_product_attention(x, k, x.flip(1), mask, 0.0,
                                           False, causal)[0]


def newer(model):
    """The archive as PyTorch 2.0 would have written it."""
    def call(found):
        args = ast.parse(found[0], mode="eval").body.args
        q, k, v, *rest = map(ast.unparse, args)
        mask, _, _, causal = rest + ["None", "0.", "False", "False"][len(rest):]
        return (f"(torch.scaled_dot_product_attention({q}, {k}, {v}, {mask}, "
                f"0., {causal}, scale=None), None)")

    with zipfile.ZipFile(model) as z:
        entries = [(i, z.read(i)) for i in z.infolist()]

    with zipfile.ZipFile(model, "w") as z:
        for info, data in entries:
            if info.filename.endswith(".py"):
                data = re.sub(
                    r"torch\._scaled_dot_product_attention\(.*\)", call,
                    data.decode())
            z.writestr(info, data)


def loop(cell, x):
    """A cell of a recurrent network over rows, as users write it."""
    h = c = torch.zeros(x.shape[0], 4)
    for i in range(x.shape[1]):
        if isinstance(cell, nn.LSTMCell):
            h, c = cell(x[:, i], (h, c))
        else:
            h = cell(x[:, i], h)
    return h


def fixed(module):
    torch.manual_seed(2)
    for p in module.eval().parameters():
        p.requires_grad_(False)
        p.copy_(0.5 * parameter(*p.shape))
    return module


def best(x):
    values, indices = x.topk(3, 1)
    return torch.cat([values, indices.float(), x.argsort(1)], 1)


def places(x):
    """Sines and cosines, added to a sequence."""
    place = torch.arange(x.shape[1])[:, None] * torch.exp(
        torch.arange(0, 8).float() * -0.5)
    return x + torch.cat([place.sin(), place.cos()], 1)


def argmaxes(x):
    return x.argmax(1).float() + x.argmax(2, keepdim=True).sum(1)


ENCODER = encoder()
ATTENTION = fixed(nn.MultiheadAttention(16, 4, batch_first=True))
LSTM_CELL = fixed(nn.LSTMCell(6, 4))
GRU_CELL = fixed(nn.GRUCell(6, 4))
RNN_CELL = fixed(nn.RNNCell(6, 4))
RNN = fixed(nn.RNN(6, 4, 2, batch_first=True, bidirectional=True))
RNN_RELU = fixed(nn.RNN(6, 4, nonlinearity="relu", batch_first=True))

# name: (shape without the batch, function)
CASES = {
    "relu": (IMAGE, torch.relu),
    "relu_": (IMAGE, lambda x: (x * 2).relu_()),
    "relu6": (IMAGE, lambda x: F.relu6(4 * x)),
    "hardtanh": (IMAGE, lambda x: F.hardtanh(x, -0.5, 0.7)),
    "leaky_relu": (IMAGE, lambda x: F.leaky_relu(x, 0.2)),
    "prelu": (IMAGE, lambda x: F.prelu(x, parameter(6))),
    "prelu_one": (IMAGE, lambda x: F.prelu(x, parameter(1))),
    "elu": (IMAGE, lambda x: F.elu(x, 0.7)),
    "celu": (IMAGE, lambda x: F.celu(x, 0.7)),
    "selu": (IMAGE, F.selu),
    "sigmoid": (IMAGE, torch.sigmoid),
    "hardsigmoid": (IMAGE, lambda x: F.hardsigmoid(4 * x)),
    "silu": (IMAGE, F.silu),
    "hardswish": (IMAGE, lambda x: F.hardswish(4 * x)),
    "gelu": (IMAGE, F.gelu),
    "gelu_tanh": (IMAGE, lambda x: F.gelu(x, approximate="tanh")),
    "mish": (IMAGE, F.mish),
    "softplus": (IMAGE, lambda x: F.softplus(10 * x)),
    "softplus_beta": (IMAGE, lambda x: F.softplus(x, 3, 15)),
    "logsigmoid": (IMAGE, F.logsigmoid),
    "tanh": (IMAGE, torch.tanh),
    "exp_log": (IMAGE, lambda x: torch.log(torch.exp(x) + 1)),
    "sqrt_rsqrt": (IMAGE, lambda x: torch.sqrt(x.abs())
                   + (x.abs() + 1).rsqrt()),
    "floor_ceil": (IMAGE, lambda x: torch.floor(x) + torch.ceil(3 * x)),
    "erf": (IMAGE, torch.erf),
    "clamp": (IMAGE, lambda x: x.clamp(-0.3, 0.4)),
    "clamp_min": (IMAGE, lambda x: x.clamp(min=0.1) + x.clamp_max(0.5)),
    "clamp_tensor": (IMAGE, lambda x: torch.clamp(x, min=parameter(8, 10))),
    "softmax": (IMAGE, lambda x: F.softmax(x, 1) + F.log_softmax(x, -1)),
    "add_alpha": (IMAGE, lambda x: torch.add(x, x * x, alpha=2) - 3),
    "sub_alpha": (IMAGE, lambda x: torch.sub(x, parameter(10), alpha=0.5)),
    "rsub": (IMAGE, lambda x: 1 - x),
    "div": (IMAGE, lambda x: x / 3 + 2 / (x.abs() + 1)),
    "div_floor": (IMAGE, lambda x: torch.div(x, 0.3, rounding_mode="floor")),
    "div_trunc": (IMAGE, lambda x: torch.div(x, 0.3, rounding_mode="trunc")
                  + torch.div((x * 9).int(), 2, rounding_mode="trunc")),
    "remainder": (IMAGE, lambda x: torch.remainder(x, 0.7)),
    "pow": (IMAGE, lambda x: x ** 2 + x.abs() ** 1.5 + 2 ** x),
    "min_max": (IMAGE, lambda x: torch.maximum(x, parameter(10))
                + torch.minimum(x, x * 2) + torch.max(x, -x)),
    "compare": (IMAGE, lambda x: (x > 0.2).float() + (x <= x * 2)
                + (x != x) * 3),
    "where": (IMAGE, lambda x: torch.where(x > 0, x, x * 0.1)),
    "masked_fill": (IMAGE, lambda x: x.masked_fill(x < 0, -5.0)),
    "logical": (IMAGE, lambda x: ((x > 0) & (x < 1) | (x < -1)).float()),
    "addcmul": (IMAGE, lambda x: torch.addcmul(x, x, parameter(10),
                                               value=0.3)),
    "int_arithmetic": (IMAGE, lambda x: (x * 10).long() // 3
                       + (x * 7).int() % 4),
    "int_times_float": (IMAGE, lambda x: (x * 10).int() * 1.5),
    "to": (IMAGE, lambda x: x.to(torch.int64).to(x.dtype).type_as(x) + x),
    "conv1d": ((6, 20), lambda x: F.conv1d(x, parameter(4, 3, 3),
                                           parameter(4), 2, 1, 1, 2)),
    "conv2d": (IMAGE, lambda x: F.conv2d(x, parameter(8, 6, 3, 3), None,
                                         (1, 2), (1, 0), (2, 1))),
    "conv2d_same": (IMAGE, lambda x: F.conv2d(x, parameter(8, 6, 4, 3),
                                              parameter(8),
                                              padding="same")),
    "conv3d": ((2, 5, 6, 7), lambda x: F.conv3d(x, parameter(4, 2, 2, 3, 3),
                                                parameter(4))),
    "batch_norm": (IMAGE, lambda x: F.batch_norm(
        x, parameter(6), parameter(6).abs(), parameter(6), None)),
    "batch_norm_rows": (ROWS, lambda x: F.batch_norm(
        x, parameter(12), parameter(12).abs() + 1, None, parameter(12))),
    "layer_norm": (IMAGE, lambda x: F.layer_norm(x, (8, 10),
                                                 parameter(8, 10))),
    "group_norm": (IMAGE, lambda x: F.group_norm(x, 3, parameter(6),
                                                 parameter(6))),
    "instance_norm": (IMAGE, lambda x: F.instance_norm(
        x, weight=parameter(6), bias=parameter(6))),
    "normalize": (IMAGE, lambda x: F.normalize(x, dim=1)),
    "dropout": (IMAGE, lambda x: F.dropout(x, 0.5, False) + 1),
    "max_pool": (IMAGE, lambda x: F.max_pool2d(x, 3, 2, 1)),
    "max_pool_ceil": (IMAGE, lambda x: F.max_pool2d(x, 3, 2,
                                                    ceil_mode=True)),
    "max_pool1d": ((6, 20), lambda x: F.max_pool1d(x, 3)),
    "max_pool_indices": (IMAGE, lambda x: F.max_pool2d(
        x, 2, return_indices=True)[0]),
    "avg_pool": (IMAGE, lambda x: F.avg_pool2d(x, 3, 1, 1)),
    "avg_pool_excluded": (IMAGE, lambda x: F.avg_pool2d(
        x, 3, 2, 1, count_include_pad=False)),
    "adaptive_avg_1": (IMAGE, lambda x: F.adaptive_avg_pool2d(x, 1)),
    "adaptive_avg_even": (IMAGE, lambda x: F.adaptive_avg_pool2d(x, (4, 5))),
    "adaptive_avg_uneven": (IMAGE, lambda x: F.adaptive_avg_pool2d(x, 3)),
    "adaptive_avg_larger": (IMAGE, lambda x: F.adaptive_avg_pool2d(
        x, (11, None))),
    "adaptive_max": (IMAGE, lambda x: F.adaptive_max_pool2d(x, (3, 4))),
    "linear": (ROWS, lambda x: F.linear(x, parameter(5, 12), parameter(5))),
    "linear_rank_4": (IMAGE, lambda x: F.linear(x, parameter(5, 10))),
    "matmul": (IMAGE, lambda x: torch.matmul(x, x.transpose(-1, -2))),
    "matmul_weight": (IMAGE, lambda x: x @ parameter(10, 3)),
    "bmm": ((5, 6), lambda x: torch.bmm(x, x.permute(0, 2, 1))),
    "addmm": (ROWS, lambda x: torch.addmm(parameter(4), x, parameter(12, 4),
                                          beta=0.5, alpha=2)),
    "baddbmm": ((5, 6), lambda x: torch.baddbmm(
        x[:, :, :5], x, x.transpose(1, 2), beta=0.5, alpha=0.25)),
    "view": (IMAGE, lambda x: x.view(-1, 6, 80).transpose(1, 2)),
    "flatten": (IMAGE, lambda x: x.flatten(1) + x.reshape(x.shape[0], -1)),
    "unflatten": (ROWS, lambda x: x.view(-1, 3, 4).flatten(0, 1)),
    "squeeze": (IMAGE, lambda x: x.unsqueeze(1).unsqueeze(-1).squeeze(-1)),
    "permute": (IMAGE, lambda x: x.permute(0, 2, 3, 1).contiguous()),
    "expand": (ROWS, lambda x: x[:, None].expand(-1, 4, 12)
               + x[:, :, None].repeat(1, 1, 1).transpose(1, 2)),
    "repeat": (ROWS, lambda x: x.repeat(1, 3)),
    "cat": (IMAGE, lambda x: torch.cat([x, x * 2, x[:, :1]], 1)),
    "stack": (ROWS, lambda x: torch.stack([x, x + 1], -1)),
    "chunk": (IMAGE, lambda x: sum(x.chunk(3, 1))),
    "split": (IMAGE, lambda x: torch.cat(x.split([1, 5], 1)[::-1], 1)
              * x.split(4, 1)[1][:, :1]),
    "unbind": (IMAGE, lambda x: x.unbind(1)[2] + x.unbind(1)[-1]),
    "slice": (IMAGE, lambda x: x[:, 1:-1, ::2, 3]),
    "narrow": (IMAGE, lambda x: x.narrow(1, 2, 3)),
    "index": (IMAGE, lambda x: x[:, torch.tensor([3, 0, -1])]),
    "index_two": (IMAGE, lambda x: x[:, torch.tensor([3, 0, -1]),
                                     torch.tensor([1, -2, 0])]),
    "index_select": (IMAGE, lambda x: x.index_select(
        2, torch.tensor([3, 1]))),
    "embedding": (ROWS, lambda x: F.embedding(
        (x.abs() * 2).long().clamp(max=4), parameter(5, 3))),
    "roll": (IMAGE, lambda x: torch.roll(x, (3, -2), (1, 3))),
    "flip": (IMAGE, lambda x: x.flip(1, 3)),
    "pad": (IMAGE, lambda x: F.pad(x, (1, 2, 0, 3), value=0.5)),
    "pad_reflect": (IMAGE, lambda x: F.pad(x, (1, 2, 2, 3), "reflect")),
    "pad_replicate": (IMAGE, lambda x: F.pad(x, (1, 2, 2, 3), "replicate")),
    "mean": (IMAGE, lambda x: x.mean((2, 3)) + x.mean(-1).mean(-1)),
    "mean_rows": (ROWS, lambda x: x.mean(1, keepdim=True)),
    "sum": (IMAGE, lambda x: x.sum(1) + (x > 0).sum(1)),
    "amax": (IMAGE, lambda x: x.amax((1, 2)) - x.amin((1, 2))),
    "max_along": (IMAGE, lambda x: x.max(1)[0] + x.max(1)[1]),
    "min_along": (IMAGE, lambda x: x.min(2, keepdim=True)[0]),
    "argmax": (IMAGE, argmaxes),
    "var_std": (IMAGE, lambda x: x.var((2, 3), unbiased=False)
                + x.std((2, 3))),
    "norm": (IMAGE, lambda x: x.norm(2, 1) + x.norm(1, 1)),
    "upsample_nearest": (IMAGE, lambda x: F.interpolate(x, scale_factor=2)),
    "upsample_size": (IMAGE, lambda x: F.interpolate(x, size=(13, 7))),
    "upsample_bilinear": (IMAGE, lambda x: F.interpolate(
        x, scale_factor=1.7, mode="bilinear", align_corners=False)),
    "upsample_corners": (IMAGE, lambda x: F.interpolate(
        x, size=(20, 5), mode="bilinear", align_corners=True)),
    "upsample_bicubic": (IMAGE, lambda x: F.interpolate(
        x, size=(16, 15), mode="bicubic", align_corners=False)),
    "pixel_unshuffle": (IMAGE, lambda x: x.view(-1, 6, 4, 2, 5, 2)
                        .permute(0, 1, 3, 5, 2, 4).reshape(-1, 24, 4, 5)),
    "create": (ROWS, lambda x: x + torch.zeros(12) + torch.ones(1, 12)
               + torch.arange(12) * 0.5 + torch.full((12,), 2.0)
               + torch.zeros_like(x) + x.new_ones(12)),
    "arange": (ROWS, lambda x: x + torch.arange(3, 27, 2)),
    "einsum": ((4, 5, 6), lambda x: torch.einsum("bhid,bhjd->bhij", x, x)),
    "einsum_weight": (IMAGE, lambda x: torch.einsum(
        "nchw,oc->nohw", x, parameter(7, 6))),
    "einsum_sums": (IMAGE, lambda x: torch.einsum("bchw,bcxy->bx", x, x)
                    + torch.einsum("bchw->bh", x)),
    "einsum_three": ((5, 6), lambda x: torch.einsum(
        "bij,jk,bkl", x, parameter(6, 4), x[:, :4])),
    "cumsum": (IMAGE, lambda x: x.cumsum(1) + torch.cumsum(x, -1)),
    "cumsum_integers": (IMAGE, lambda x: (x > 0).cumsum(2)),
    "gather": (IMAGE, lambda x: x.gather(1, index_of(x, 3, 8, 10))),
    "gather_part": (IMAGE, lambda x: x.gather(3, index_of(x, 2, 8, 7))),
    "gather_computed": (IMAGE, lambda x: x.gather(
        2, x.argmax(2, keepdim=True))),
    "write_mask": (IMAGE, write_mask),
    "encoder": ((7, 16), ENCODER),
    "encoder_first": ((7, 16), encoder(norm_first=True, activation="gelu")),
    "encoder_padding": ((7, 16), lambda x: ENCODER(
        x, src_key_padding_mask=x[:, :, 0] > 1)),
    "encoder_causal": ((7, 16), lambda x: ENCODER(
        x, mask=torch.triu(torch.ones(7, 7), 1) > 0)),
    "attention": (IMAGE, attention),
    "attention_causal": (IMAGE, lambda x: attention(x, causal=True)),
    "attention_masked": ((4, 6), lambda x: attention(
        x, torch.ones(4, 4).tril() > 0)),
    "attention_added": ((4, 6), lambda x: attention(x, x[:, :, :4])),
    "triangles": (IMAGE, lambda x: x.triu(-1) + x.tril(2)),
    "softshrink": (IMAGE, F.softshrink),
    "hardshrink": (IMAGE, F.hardshrink),
    "threshold": (IMAGE, lambda x: F.threshold(x, 0.1, -3)),
    "glu": (IMAGE, lambda x: F.glu(x, 1)),
    "rrelu": (IMAGE, F.rrelu),
    "logit": (IMAGE, lambda x: torch.logit(torch.sigmoid(x), 0.1)),
    "sign": (IMAGE, lambda x: torch.sign(x) + x.round() * x.frac()),
    "logs": (IMAGE, lambda x: x.abs().log2() + x.abs().log10()
             + x.abs().log1p() + x.exp2() + x.expm1()),
    "hyperbolic": (IMAGE, lambda x: x.sinh() * x.cosh()),
    "finite": (IMAGE, lambda x: torch.isnan(x / x.relu())
               | torch.isinf(1 / x.relu()) | torch.isfinite(x)),
    "nan_to_num": (IMAGE, lambda x: torch.nan_to_num(
        x / x.relu(), 2, 3, neginf=-4)),
    "lerp": (IMAGE, lambda x: torch.lerp(x, x * 2, 0.3)),
    "fmod": (IMAGE, lambda x: torch.fmod(x, 0.7)),
    "aliases": (IMAGE, lambda x: torch.subtract(x, x.greater(0).float())
                + torch.divide(x, 3).absolute()),
    "outer": (ROWS, lambda x: torch.outer(parameter(3), parameter(4))
              + x[:, :1, None]),
    "bilinear": (ROWS, lambda x: F.bilinear(x, x * 2, parameter(3, 12, 12),
                                            parameter(3))),
    "distances": ((5, 6), lambda x: torch.cdist(x, x + 1)
                  + F.cosine_similarity(x, x * x, 2)[:, None]
                  + F.pairwise_distance(x, x + x)[:, None]),
    "weight_norm": (IMAGE, lambda x: F.conv2d(x, torch._weight_norm(
        parameter(4, 6, 3, 3), parameter(4, 1, 1, 1), 0))),
    "argmin": (IMAGE, lambda x: x.argmin(1)),
    "topk": (ROWS, best),
    "topk_smallest": (IMAGE, lambda x: x.topk(2, 1, False)[0]),
    "sort": (IMAGE, lambda x: x.sort(2, True)[0] + x.sort(2, True)[1]),
    "median": (IMAGE, lambda x: x.median(1)[0]
               + x.kthvalue(2, 1)[0]),
    "logsumexp": (IMAGE, lambda x: x.logsumexp((1, 2))),
    "count_nonzero": (IMAGE, lambda x: torch.count_nonzero(x > 0, 1)),
    "one_hot": (ROWS, lambda x: F.one_hot((x.abs() * 2).long().clamp(max=4),
                                          5)),
    "scatter": (ROWS, lambda x: torch.zeros(x.shape[0], 5).scatter_(
        1, (x.abs() * 2).long().clamp(max=4)[:, :3], 1.5)),
    "conv_transpose": (IMAGE, lambda x: F.conv_transpose2d(
        x, parameter(6, 4, 3, 3), parameter(4), 2, 1, 1)),
    "conv_transpose_uneven": (IMAGE, lambda x: F.conv_transpose2d(
        x, parameter(6, 2, 4, 2), parameter(6), (3, 1), (0, 1), (1, 0), 3,
        (1, 2))),
    "conv_transpose_outside": (IMAGE, lambda x: F.conv_transpose2d(
        x, parameter(6, 2, 2, 3), parameter(2), 4, 0, 3)),
    "conv_transpose1d": ((6, 20), lambda x: F.conv_transpose1d(
        x, parameter(6, 4, 4), None, 2, 1)),
    "pixel_shuffle": (IMAGE, lambda x: F.pixel_shuffle(x[:, :4], 2)),
    "pixel_unshuffle_named": (IMAGE, lambda x: F.pixel_unshuffle(x, 2)),
    "channel_shuffle": (IMAGE, lambda x: F.channel_shuffle(x, 3)),
    "unfold": (IMAGE, lambda x: F.unfold(x, (3, 2), (1, 2), (1, 0), (2, 1))),
    "unfold_dim": (IMAGE, lambda x: x.unfold(2, 3, 2)),
    "movedim": (IMAGE, lambda x: x.movedim(1, -1).movedim((1, 2), (3, 1))),
    "diagonal": ((4, 6), lambda x: torch.diagonal(x, 0, 1, 2)
                 + torch.diagonal(x, 0, 2, 1)),
    "pad_circular": (IMAGE, lambda x: F.pad(x, (1, 2, 3, 0), "circular")),
    "tensor_split": (IMAGE, lambda x: torch.tensor_split(x, 4, 2)[1]),
    "stacks": (ROWS, lambda x: torch.hstack([x, x + 1])),
    "tile": (ROWS, lambda x: x.tile(1, 2)
             + torch.repeat_interleave(x, 2, 1)),
    "meshgrid": (IMAGE, lambda x: x + torch.meshgrid(
        torch.arange(8.0), torch.linspace(0, 1, 10), indexing="ij")[1]
        + torch.eye(8, 10)),
    "nearest_exact": (IMAGE, lambda x: F.interpolate(
        x, size=(5, 13), mode="nearest-exact")),
    "antialias": (IMAGE, lambda x: F.interpolate(
        x, size=(3, 4), mode="bilinear", antialias=True)),
    "antialias_cubic": (IMAGE, lambda x: F.interpolate(
        x, size=(3, 4), mode="bicubic", antialias=True)),
    "places": ((7, 16), places),
    "attention_weights": ((7, 16), lambda x: ATTENTION(x, x, x)[1]),
    "attention_weights_of_heads": ((7, 16), lambda x: ATTENTION(
        x, x, x, average_attn_weights=False)[1]),
    "lstm_cell": ((5, 6), lambda x: loop(LSTM_CELL, x)),
    "gru_cell": ((5, 6), lambda x: loop(GRU_CELL, x)),
    "rnn_cell": ((5, 6), lambda x: loop(RNN_CELL, x)),
    "rnn": ((5, 6), lambda x: RNN(x)[0] + RNN(x)[1][-1][:, None].repeat(
        1, 1, 2)),
    "rnn_relu": ((5, 6), lambda x: RNN_RELU(x)[0]),
    "write_part": (IMAGE, write_part),
    "write_view": (IMAGE, write_view),
}


class Function(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


def check(infer, shape, f, directory):
    """None, or what is wrong."""
    model = os.path.join(directory, "m.pt")
    x = torch.from_numpy(np.random.default_rng(5).standard_normal(
        (3,) + shape, dtype=np.float32))
    torch.jit.trace(Function(f), x[:1], check_trace=False).save(model)
    y = torch.jit.load(model)(x).numpy()
    newer(model)
    np.save(os.path.join(directory, "x.npy"), x.numpy())

    ran = subprocess.run(
        [infer, "run", model, "--input-shape",
         "x".join(map(str, ("N",) + shape)), "--input",
         "x=" + os.path.join(directory, "x.npy"), "--output-dir", directory],
        capture_output=True, text=True)
    if ran.returncode != 0:
        return ran.stderr.strip()

    got = np.load(os.path.join(directory, "output.npy"))
    if got.shape != y.shape or got.dtype != y.dtype:
        return f"{got.dtype} {got.shape}, not {y.dtype} {y.shape}"

    error = np.abs(got.astype(float) - y).max() / np.abs(y).max()
    return None if error <= TOLERANCE else f"off by {error:.1e}"


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: torch_operators.py BUILD [PATTERN]")

    warnings.filterwarnings("ignore")
    infer = os.path.join(sys.argv[1], "infer")
    cases = {k: v for k, v in CASES.items()
             if len(sys.argv) < 3 or sys.argv[2] in k}
    failed = 0
    print(f"1..{len(cases)}", flush=True)

    for i, (name, (shape, f)) in enumerate(cases.items()):
        with tempfile.TemporaryDirectory() as directory:
            wrong = check(infer, shape, f, directory)
        failed += wrong is not None
        print("not ok" if wrong else "ok", i + 1, "-", name, wrong or "",
              flush=True)

    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
