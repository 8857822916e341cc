#!/usr/bin/python3
"""Makes the files of this directory, by hand and once: small quantized
archives as torch.jit.save writes them, with an input and what PyTorch makes of
it.

static.pt   eager mode, traced: modules with __setstate__
frozen.pt   the same, scripted and frozen: packed parameters in constants.pkl
dynamic.pt  quantize_dynamic, traced
composed.pt scripted: a with statement, an object that the code makes, and
            operators that are composed of others
"""

import warnings

import numpy as np
import torch
import torch.ao.quantization as quantization
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = quantization.QuantStub()
        self.conv = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.sum = nn.quantized.FloatFunctional()
        self.act = nn.Hardswish()
        self.fc = nn.Linear(8, 5)
        self.dequant = quantization.DeQuantStub()

    def forward(self, x):
        x = self.conv(self.quant(x))
        x = self.sum.add_relu(x, self.depthwise(x))
        x = self.act(nn.functional.max_pool2d(x, 2))
        x = nn.functional.adaptive_avg_pool2d(x, 1)
        return self.dequant(self.fc(x.flatten(1)))


@torch.jit.script
class Scale:
    def __init__(self, by: float):
        self.by = by

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.by


class Composed(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.up = nn.ConvTranspose2d(8, 4, 3, 2, 1, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.cell = nn.LSTMCell(16, 16)

    def forward(self, x):
        with torch.no_grad():
            x = nn.functional.relu(self.norm(self.down(x)))
        x = Scale(0.5).apply(self.shuffle(self.up(x))).squeeze(1)
        x, weights = self.attention(x, x, x)
        assert weights is not None
        h, _ = self.cell(x.mean(1))
        best, place = h.topk(3, 1)
        return torch.cat([best, place.float(), h, weights.mean(1)], 1)


def composed():
    torch.manual_seed(4)
    net = Composed().eval()
    x = torch.randn(3, 3, 8, 8)
    torch.jit.script(net).save("composed.pt")
    np.save("composed.x.npy", x.numpy())
    np.save("composed.y.npy", net(x).numpy())


def main():
    warnings.filterwarnings("ignore")
    torch.backends.quantized.engine = "onednn"
    torch.manual_seed(3)
    net = Net().eval()
    x = torch.randn(1, 1, 12, 12)

    net.qconfig = quantization.get_default_qconfig("onednn")
    net = quantization.fuse_modules(net, [["conv.0", "conv.1"]])
    net = quantization.prepare(net)
    net(x)
    net(torch.randn(8, 1, 12, 12))
    net = quantization.convert(net)

    torch.jit.trace(net, x).save("static.pt")
    torch.jit.freeze(torch.jit.script(net)).save("frozen.pt")
    np.save("static.x.npy", x.numpy())
    np.save("static.y.npy", net(x).numpy())

    composed()

    net = torch.quantization.quantize_dynamic(
        nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5)).eval(),
        {nn.Linear}, torch.qint8)
    x = torch.randn(1, 12)
    torch.jit.trace(net, x).save("dynamic.pt")
    np.save("dynamic.x.npy", x.numpy())
    np.save("dynamic.y.npy", net(x).numpy())


if __name__ == "__main__":
    with torch.no_grad():
        main()
