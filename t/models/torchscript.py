#!/usr/bin/python3
"""TorchScript archives against PyTorch: torchvision's classifiers, two
recurrent ones, one of text and two for segmentation, traced, scripted and
frozen.

    torchscript.py BUILD [NAME...]

Archives, inputs and PyTorch's outputs lie in BUILD/models/torch; they are
made again when they are older than this script.  Weights are random and
measured as those of export.py.  Each archive is run by BUILD/infer on three
images; its outputs must lie within 1e-4 of PyTorch's, relative to the
largest.
"""

import json
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
import torch.nn.functional as F
import export
from torch import nn
from torchvision.models import segmentation

TOLERANCE = 1e-4
FORMS = ("traced", "scripted", "frozen")

# what export.py does not have
MORE = {
    "convnext_tiny": ({}, 224, 14),
    "swin_t": ({}, 224, 14),
    "regnet_y_400mf": ({}, 224, 13),
    "mnasnet1_0": ({}, 224, 13),
}


class Recurrent(nn.Module):
    """Rows of a picture as a sequence."""

    def __init__(self, layer):
        super().__init__()
        self.rnn = layer(28, 32, num_layers=2, batch_first=True,
                         bidirectional=True)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        y, _ = self.rnn(x)
        return self.fc(y[:, -1])


RECURRENT = {"lstm": nn.LSTM, "gru": nn.GRU}


class Text(nn.Module):
    """Words by their numbers, of which 0 is none, through an encoder."""

    def __init__(self):
        super().__init__()
        self.word = nn.Embedding(50, 16)
        self.place = nn.Embedding(12, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True)
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        y = self.word(x) + self.place(torch.arange(x.size(1)))
        y = self.encoder(y, src_key_padding_mask=x == 0)
        return self.fc(y.mean(1))


def block(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Segmentation, as many have written it: up by a transposed convolution
    and by interpolation, padded to what it is joined to."""

    def __init__(self):
        super().__init__()
        self.first = block(3, 8)
        self.second = block(8, 16)
        self.third = block(16, 32)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.larger = nn.Upsample(scale_factor=2., mode="bilinear",
                                  align_corners=True)
        self.fourth = block(32, 16)
        self.last = nn.Sequential(block(24, 8), nn.Conv2d(8, 2, 1))

    def join(self, x, y):
        down = x.size(2) - y.size(2)
        right = x.size(3) - y.size(3)
        y = F.pad(y, [right // 2, right - right // 2,
                      down // 2, down - down // 2])
        return torch.cat([x, y], dim=1)

    def forward(self, x):
        x = self.first(x)
        y = self.second(self.pool(x))
        z = self.up(self.third(self.pool(y)))
        y = self.fourth(self.join(y, z))
        return torch.sigmoid(self.last(self.join(x, self.larger(y))))


class Segmentation(nn.Module):
    """torchvision's, which gives a dict."""

    def __init__(self):
        super().__init__()
        self.net = segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=5)

    def forward(self, x):
        return self.net(x)["out"]


SEGMENTATION = {"unet": (UNet, 90), "lraspp": (Segmentation, 224)}


def build(name):
    """The model and three inputs."""
    if name in SEGMENTATION:
        make, size = SEGMENTATION[name]
        torch.manual_seed(1)
        model = make()
        with torch.no_grad():
            export.randomise(model)
            export.calibrate(model, size)
        return model.eval(), export.images(3, size, 7)

    if name == "text":
        torch.manual_seed(1)
        rng = np.random.default_rng(1)
        return Text().eval(), rng.integers(0, 50, (3, 12))

    if name in RECURRENT:
        torch.manual_seed(1)
        rng = np.random.default_rng(1)
        x = rng.standard_normal((3, 28, 28), dtype=np.float32)
        return Recurrent(RECURRENT[name]).eval(), x

    return export.build(name), export.images(3, export.MODELS[name][1], 7)


def save(name, path):
    """path/FORM.pt, path/x.npy and path/y.npy, the last one last."""
    model, x = build(name)
    x = torch.from_numpy(x)
    os.makedirs(path, exist_ok=True)

    with torch.no_grad():
        y = model(x).numpy()
        torch.jit.trace(model, x[:1]).save(os.path.join(path, "traced.pt"))
        scripted = torch.jit.script(model)
        scripted.save(os.path.join(path, "scripted.pt"))
        torch.jit.freeze(scripted).save(os.path.join(path, "frozen.pt"))

    np.save(os.path.join(path, "x.npy"), x.numpy())
    np.save(os.path.join(path, "y.npy"), y)


def run(build_dir, path, form):
    """The largest difference from PyTorch, relative; or what went wrong."""
    infer = os.path.join(build_dir, "infer")
    model = os.path.join(path, form + ".pt")
    x = np.load(os.path.join(path, "x.npy"))
    y = np.load(os.path.join(path, "y.npy"))
    shape = ["--input-shape", "x".join(map(str, ("N",) + x.shape[1:]))]

    told = subprocess.run([infer, "inspect", model, "--json"] + shape,
                          capture_output=True, text=True)
    if told.returncode != 0:
        return None, told.stderr.strip()

    told = json.loads(told.stdout)
    operators = sum(told["operators"].values())

    with tempfile.TemporaryDirectory() as out:
        ran = subprocess.run(
            [infer, "run", model, "--input",
             told["inputs"][0]["name"] + "=" + os.path.join(path, "x.npy"),
             "--output-dir", out] + shape, capture_output=True, text=True)
        if ran.returncode != 0:
            return None, ran.stderr.strip()

        name = told["outputs"][0]["name"].replace("/", "_").replace(":", "_")
        got = np.load(os.path.join(out, name + ".npy"))

    if got.shape != y.shape:
        return None, f"shape {got.shape} is not {y.shape}"

    return float(np.abs(got - y).max() / np.abs(y).max()), operators


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: torchscript.py BUILD [NAME...]")

    warnings.filterwarnings("ignore")
    export.MODELS.update(MORE)
    names = sys.argv[2:] or ["text", *RECURRENT, *SEGMENTATION,
                             *export.MODELS]
    failed = 0
    print(f"1..{len(names) * len(FORMS)}", flush=True)

    for i, name in enumerate(names):
        path = os.path.join(sys.argv[1], "models", "torch", name)
        done = os.path.join(path, "y.npy")

        if not (os.path.exists(done)
                and os.path.getmtime(done) > os.path.getmtime(__file__)):
            save(name, path)

        for k, form in enumerate(FORMS):
            error, note = run(sys.argv[1], path, form)
            good = error is not None and error <= TOLERANCE
            failed += not good
            print("ok" if good else "not ok", i * len(FORMS) + k + 1, "-",
                  name, form, f"{error:.1e}" if error is not None else "",
                  note, flush=True)

    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
