#!/usr/bin/python3
"""The language of TorchScript against PyTorch: small scripted modules, and
what is refused.

    torchlanguage.py BUILD

Outputs of a batch of three must lie within 1e-4 of PyTorch's, relative to the
largest; modules that are for a batch of one only are run with one.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
import zlib
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOLERANCE = 1e-4


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


class Shape(nn.Module):
    """if on shape, while, int arithmetic"""

    def forward(self, x):
        n, c, h, w = x.shape
        if h > w:
            x = x[:, :, :w]
        elif h * w == 64 and c != 4:
            x = x.reshape(n, c, h * w // 2, -1)
        i = 0
        while i < c:
            x = x + i * 2 - i // 2 + (-7 % 3) + (-7 // 2) + float(i) / 2
            i += 1
        if not (i == c) or x.dim() != 4:
            x = x * 0
        return x * (n // n) + max(h, 3) - min(w, 3) + abs(-2) + 2 ** 3


class Lists(nn.Module):
    """for, lists, tuples, slices of lists, comprehensions"""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.sizes = [3, 1, 2]

    def forward(self, x):
        taken: List[Tensor] = []
        for i, layer in enumerate(self.layers):
            x = torch.relu(layer(x)) + i
            if i % 2 == 0:
                taken.append(x)
        numbers = [j * 2 for j in range(4)]
        part = numbers[1:3]
        part.extend([1])
        part.insert(0, 5)
        part.sort()
        part.reverse()
        part += self.sizes
        last = part.pop()
        pair = (x, last)
        y = pair[0] * pair[1] + part[-1] + len(part) + sum(part)
        if 5 in part and part == [5, 4, 2, 1, 3, 1]:
            y = y * 2
        return torch.cat(taken, 1), (y, taken[0])


class Dicts(nn.Module):
    """dicts, NamedTuple, Optional, calls of methods and submodules"""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4))

    def pair(self, x: Tensor, y: Optional[Tensor] = None) -> Pair:
        if y is None:
            y = x + 1
        return Pair(x, y)

    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        d: Dict[str, Tensor] = {}
        p = self.pair(self.net(x))
        q = self.pair(p.second, p.first)
        d["a"] = p.second
        d["b"] = q.second * len(d)
        total = x
        for k, v in d.items():
            if k != "c":
                total = total + v
        if "b" in d and "z" not in d:
            d["total"] = total
        del d["a"]
        return d


class Named(nn.Module):
    """outputs by the names of a NamedTuple"""

    def forward(self, x: Tensor) -> Pair:
        return Pair(x.mean(1), x.view(x.size(0), -1).sum(1))


class InPlace(nn.Module):
    """in-place operators, also through views and slices"""

    def forward(self, x):
        y = x * 1
        z = y
        y += 2
        y.relu_()
        a = y[:, 0]
        y[:, 1] = 3
        y[:, 2:].mul_(2)
        return z + y


class OfOne(nn.Module):
    """decides by the batch: is for a batch of one"""

    def forward(self, x):
        if x.size(0) == 1:
            return x * 2
        return x * 3


class Views(nn.Module):
    """sizes that follow the batch"""

    def forward(self, x):
        b, c = x.size(0), x.size(1)
        y = x.view(b * c, -1)
        y = y.reshape(b, c * 2, x.numel() // (b * c * 2))
        z = torch.zeros([b, c]) + float(c)
        return y, z, F.pad(z, [1, 0])


@torch.jit.script
class Counter:
    def __init__(self, n: int):
        self.n = n

    def add(self, n: int) -> int:
        self.n += n
        return self.n


class Contexts(nn.Module):
    """with, also within each other and with a name; objects; dict()"""

    def forward(self, x):
        counter = Counter(2)
        d: Dict[str, Tensor] = dict()
        with torch.no_grad():
            y = x * counter.add(3)
        with torch.autograd.profiler.record_function("a") as f:
            if y.dim() == 2:
                with torch.no_grad(), torch.cuda.amp.autocast(False):
                    y = y + counter.n
        d["y"] = y
        return d


class Bag(nn.Module):
    """an embedding's mean, which is for a batch of one"""

    def __init__(self, mode):
        super().__init__()
        self.bag = nn.EmbeddingBag(5, 3, mode=mode, padding_idx=1)

    def forward(self, x):
        return self.bag((x.abs() * 2).long().clamp(max=4))


class Autocast(nn.Module):
    def forward(self, x):
        with torch.cpu.amp.autocast():
            return x * 2


class Random(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


class Many(nn.Module):
    def forward(self, x):
        return torch.sort(x.view(-1, 1).repeat(1, 65))[0]


class Data(nn.Module):
    """decides by data: is for a batch of one"""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        if x.mean() > self.fc(x).mean():
            y = x * 2
        else:
            y = self.fc(x)
        z = x + 1 if (x > 0).all() else x - 1
        if bool((x > 0).any()) and x.size(1) == 4:
            n = 3
            y = y + n
        if not torch.isnan(x).any():
            if x[0, 0] > x[0, 1]:
                y, z = z, y
        return y - 3 * z


class Loop(nn.Module):
    def forward(self, x):
        while x.sum() < 3:
            x = x + 1
        return x


class Shapes(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            x = x[:, 1:]
        return x


class Effect(nn.Module):
    def forward(self, x):
        y = [x]
        if x.sum() > 0:
            y.append(x)
        return y[0]


class Write(nn.Module):
    def forward(self, x):
        y = -x
        if x.sum() > 0:
            y = x
        y += 1
        return x + y


class Assert(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            raise ValueError("positive")
        return x


class Item(nn.Module):
    def forward(self, x):
        return x * x.sum().item()


class Raises(nn.Module):
    def forward(self, x):
        if x.dim() != 3:
            raise ValueError("want 3 dimensions, got {}".format(x.dim()))
        return x


class State(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x):
        self.seen += 1
        return x + self.seen


class Attribute(State):
    def forward(self, x):
        self.calls += 1
        return x + self.calls


class Stale(nn.Module):
    def forward(self, x):
        y = x * 1
        z = y.permute(1, 0).reshape(-1)
        w = y.view(-1)
        w.relu_()
        return z


class Forever(nn.Module):
    def forward(self, x):
        i = 1
        while i > 0:
            i += 1
        return x


class Recursive(nn.Module):
    def forward(self, x):
        y: List[int] = [1]
        for _ in range(60):
            y = y + y
        return x + len(y)


def norm():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())


# name: module, shape of the input behind the batch, batch
GOOD = {
    "shape": (Shape(), (3, 8, 8), 3),
    "shape_tall": (Shape(), (3, 8, 6), 3),
    "lists": (Lists(), (4,), 3),
    "dicts": (Dicts(), (4,), 3),
    "named": (Named(), (2, 5), 3),
    "inplace": (InPlace(), (4,), 3),
    "of_one": (OfOne(), (4,), 1),
    "contexts": (Contexts(), (4,), 3),
    "bag": (Bag("mean"), (9,), 1),
    "bag_sum": (Bag("sum"), (9,), 1),
    "bag_max": (Bag("max"), (9,), 1),
    **{f"data_{i}": (Data(), (4,), 1) for i in range(8)},
    "views": (Views(), (3, 8), 3),
    "training": (norm().train(), (3, 8, 8), 3),
}

# name: module, shape, what the error says
REFUSED = {
    "loop": (Loop(), "Nx4", "__torch__.py:\\d+: a loop that depends on the "
             "data of a tensor"),
    "shapes": (Shapes(), "Nx4", "__torch__.py:\\d+: a decision depends on the "
               "data of a tensor, and x\\d* is no tensor of the same"),
    "effect": (Effect(), "Nx4", "__torch__.py:\\d+: .*more than local names"),
    "write": (Write(), "Nx4", "__torch__.py:\\d+: a tensor is changed in "
              "place.*once a decision"),
    "assert": (Assert(), "Nx4", "__torch__.py:\\d+: the model raises an "
               "exception: .*positive"),
    "item": (Item(), "Nx4", "__torch__.py:\\d+: a number that depends on"),
    "autocast": (Autocast(), "Nx4", "__torch__.py:\\d+: with .*autocast"),
    "random": (Random(), "Nx4", "__torch__.py:\\d+: random numbers"),
    "sine": (Sine(), "Nx4", "__torch__.py:\\d+: sines and cosines"),
    "many": (Many(), "Nx4", "__torch__.py:\\d+: to sort more than 64"),
    "raises": (Raises(), "Nx4", "raises an exception: want 3 dim.*, got 2"),
    "state": (State(), "Nx4", "buffer of the model is changed"),
    "attribute": (Attribute(), "Nx4", "attribute calls of the model"),
    "stale": (Stale(), "Nx4", "used after it was changed in place"),
    "forever": (Forever(), "Nx4", "runs for too long"),
    "recursive": (Recursive(), "Nx4", "runs for too long|too many elements"),
    "no_shape": (Named(), None, "does not tell the shape of input \"x\".*"
                 "--input-shape x="),
    "bad_name": (Named(), "y=Nx4", "no input has the name \"y\""),
}


def infer(*args):
    return subprocess.run([os.path.join(sys.argv[1], "infer"), *args],
                          capture_output=True, text=True)


def flatten(y, name=""):
    """The outputs as infer names them."""
    if isinstance(y, Tensor):
        return {name or "output": y.detach().numpy()}
    if hasattr(y, "_fields"):
        pairs = zip(y._fields, y)
        join = "_" if name else ""
    elif isinstance(y, dict):
        pairs = y.items()
        join = "_" if name else ""
    else:
        pairs = ((str(i), v) for i, v in enumerate(y))
        name = name or "output"
        join = "_"
    flat = {}
    for key, value in pairs:
        flat.update(flatten(value, name + join + key))
    return flat


def compare(folder, name, module, shape, batch):
    """None, or what is wrong."""
    torch.manual_seed(zlib.crc32(name.encode()))
    model = os.path.join(folder, "m.pt")
    scripted = torch.jit.script(module)
    scripted.save(model)
    x = torch.randn(batch, *shape)
    np.save(os.path.join(folder, "x.npy"), x.numpy())
    with torch.no_grad():
        y = flatten(scripted.eval()(x.clone()))

    ran = infer("run", model, "--input", os.path.join(folder, "x.npy"),
                "--output-dir", folder, "--input-shape",
                "x".join(map(str, ("N",) + shape)))
    if ran.returncode != 0:
        return ran.stderr.strip()

    for output, want in y.items():
        got = np.load(os.path.join(folder, output + ".npy"))
        if got.shape != want.shape:
            return f"{output}: shape {got.shape} is not {want.shape}"
        error = np.abs(got - want).max() / np.abs(want).max()
        if not error <= TOLERANCE:
            return f"{output}: differs by {error:.1e}"
    return None


def refused(path, shape, pattern):
    args = ["inspect", path] + (["--input-shape", shape] if shape else [])
    told = infer(*args)
    if told.returncode == 0:
        return "is accepted"
    text = told.stderr.strip()
    return None if re.search(pattern, text) and "\n" not in text else text


def archives(folder):
    """What is no module: name, path, shape, error."""
    x = torch.rand(1, 3, 8, 8)
    model = norm().eval()
    path = {name: os.path.join(folder, name + ".pt") for name in
            ("state_dict", "whole", "legacy", "optimized", "trained")}
    torch.save(model.state_dict(), path["state_dict"])
    torch.save(model, path["whole"])
    torch.save(model.state_dict(), path["legacy"],
               _use_new_zipfile_serialization=False)
    torch.jit.optimize_for_inference(
        torch.jit.freeze(torch.jit.script(model))).save(path["optimized"])
    torch.jit.trace(model.train(), x, check_trace=False).save(path["trained"])
    told = {
        "state_dict": "written by torch.save.*torch.jit.trace",
        "whole": "written by torch.save.*torch.jit.trace",
        "legacy": "pickle, as torch.save wrote it.*torch.jit.trace",
        "optimized": "optimize_for_inference",
        "trained": "traced in training mode.*model.eval\\(\\)",
    }
    return [(name, path[name], "Nx3x8x8", told[name]) for name in path]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: torchlanguage.py BUILD")

    warnings.filterwarnings("ignore")
    failed = n = 0

    def ok(name, wrong):
        nonlocal failed, n
        n += 1
        failed += wrong is not None
        print("not ok" if wrong else "ok", n, "-", name, wrong or "",
              flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for name, (module, shape, batch) in GOOD.items():
            ok(name, compare(folder, name, module, shape, batch))

        path = os.path.join(folder, "m.pt")
        told = infer("inspect", path, "--json", "--input-shape", "Nx3x8x8")
        ok("a warning of training mode",
           None if "training mode" in json.loads(told.stdout)["warnings"][0]
           else told.stdout)

        for name, (module, shape, pattern) in REFUSED.items():
            torch.jit.script(module).save(path)
            ok("refused: " + name, refused(path, shape, pattern))

        for name, file, shape, pattern in archives(folder):
            ok("refused: " + name, refused(file, shape, pattern))

    print(f"1..{n}")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
