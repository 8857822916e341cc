#!/usr/bin/python3
"""Trains FashionNet, the model that is served when none is configured.

    train_fashion.py OUT.onnx [--epochs N] [--data DIR]

Needs Debian's python3-torch, python3-onnx and dataset-fashion-mnist; an epoch
takes a CPU about two minutes.  The accuracy on the test images is printed at
the end: hold it against the 92.53 % of fashion.onnx.  Run by hand: no test
and no build step calls it, and a new run gives equivalent, not equal, weights.

FashionNet is small (110,842 parameters) and has one of everything that image
classifiers are made of: plain and depthwise convolutions, a residual block,
inverted residuals with ReLU6, squeeze-and-excitation, dropout.
"""

import argparse
import gzip
import os

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import nn

LABELS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
          "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]

# Of the training images, divided by 255.
MEAN = 0.286
STD = 0.353

BATCH = 128
SHIFT = 2                           # pixels that augmentation may move by


def conv_bn(c_in, c_out, kernel, stride=1, groups=1, act=None):
    layers = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2,
                        groups=groups, bias=False),
              nn.BatchNorm2d(c_out)]

    return nn.Sequential(*layers, *([act()] if act else []))


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c1 = conv_bn(c, c, 3, act=nn.ReLU)
        self.c2 = conv_bn(c, c, 3)

    def forward(self, x):
        return F.relu(x + self.c2(self.c1(x)))


class SqueezeExcite(nn.Module):
    def __init__(self, c, squeezed):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(c, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, c, 1)

    def forward(self, x):
        s = F.relu(self.fc1(self.pool(x)))

        return x * torch.sigmoid(self.fc2(s))


class InvertedResidual(nn.Module):
    def __init__(self, c_in, c_mid, c_out, stride=1, squeezed=0):
        super().__init__()
        self.pw = conv_bn(c_in, c_mid, 1, act=nn.ReLU6)
        self.dw = conv_bn(c_mid, c_mid, 3, stride, c_mid, act=nn.ReLU6)
        self.se = SqueezeExcite(c_mid, squeezed) if squeezed else nn.Identity()
        self.pl = conv_bn(c_mid, c_out, 1)
        self.shortcut = stride == 1 and c_in == c_out

    def forward(self, x):
        y = self.pl(self.se(self.dw(self.pw(x))))

        return x + y if self.shortcut else y


class FashionNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv_bn(1, 16, 3, act=nn.ReLU)              # 28 x 28
        self.down1 = conv_bn(16, 32, 3, stride=2, act=nn.ReLU)  # 14 x 14
        self.res1 = Residual(32)
        self.ir1 = InvertedResidual(32, 96, 64, stride=2)       # 7 x 7
        self.ir2 = InvertedResidual(64, 192, 64, squeezed=16)
        self.ir3 = InvertedResidual(64, 192, 64, squeezed=16)
        self.head = conv_bn(64, 128, 1, act=nn.ReLU)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(128, 10)

    def forward(self, x):
        x = self.res1(self.down1(self.stem(x)))
        x = self.ir3(self.ir2(self.ir1(x)))
        x = torch.flatten(self.pool(self.head(x)), 1)

        return self.fc(self.drop(x))


def load(directory, part):
    """Images as normalised (N, 1, 28, 28), labels as (N)."""
    def elements(name, header):
        with gzip.open(os.path.join(directory, name)) as f:
            return np.frombuffer(f.read(), np.uint8, offset=header)

    x = elements(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    y = elements(f"{part}-labels-idx1-ubyte.gz", 8)
    x = (torch.from_numpy(x.astype(np.float32)) / 255 - MEAN) / STD

    return x, torch.from_numpy(y.astype(np.int64))


def augment(x):
    """Mirrors half of the images, and moves each by up to SHIFT pixels."""
    n, _, h, w = x.shape
    mirrored = torch.rand(n, 1, 1, 1) < 0.5
    x = torch.where(mirrored, x.flip(3), x)

    black = (0 - MEAN) / STD
    x = F.pad(x, [SHIFT] * 4, value=black)
    rows = torch.randint(2 * SHIFT + 1, (n, 1)) + torch.arange(h)
    columns = torch.randint(2 * SHIFT + 1, (n, 1)) + torch.arange(w)
    image = torch.arange(n)[:, None, None]

    return x[image, 0, rows[:, :, None], columns[:, None, :]][:, None]


def train(model, x, y, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9,
                                weight_decay=5e-4, nesterov=True)
    steps = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, epochs=epochs, steps_per_epoch=steps)

    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0

        for batch in torch.randperm(len(x))[:steps * BATCH].split(BATCH):
            loss = F.cross_entropy(model(augment(x[batch])), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()

        print(f"epoch {epoch}: loss {total / steps:.4f}", flush=True)


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        right = sum((model(a).argmax(1) == b).sum().item()
                    for a, b in zip(x.split(1000), y.split(1000)))

    return right / len(x)


def export(model, path):
    model.eval()
    torch.onnx.export(model, torch.zeros(1, 1, 28, 28), path,
                      opset_version=17, input_names=["input"],
                      output_names=["logits"],
                      dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}})

    # What a server must know beside the weights: without it, it would have
    # to guess how the pixels were scaled, and what class 9 is.
    file = onnx.load(path)
    onnx.helper.set_model_props(file, {
        "infer.preprocess": "resize=28 crop=28 color=gray "
                            f"mean={MEAN} std={STD}",
        "infer.labels": "\n".join(LABELS),
    })
    onnx.save(file, path)


def main():
    parser = argparse.ArgumentParser(
        description="Trains FashionNet and exports it to ONNX.")
    parser.add_argument("output", metavar="OUT.onnx")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    args = parser.parse_args()

    torch.manual_seed(1)
    model = FashionNet()
    count = sum(p.numel() for p in model.parameters())
    print(f"FashionNet: {count} parameters", flush=True)

    train(model, *load(args.data, "train"), args.epochs)
    print(f"top-1 of the test images: "
          f"{accuracy(model, *load(args.data, 't10k')):.4f}")
    export(model, args.output)


main()
