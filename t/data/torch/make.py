#!/usr/bin/python3
"""Makes the files of this directory, by hand and once: small quantized
archives as torch.jit.save writes them, with an input and what PyTorch makes of
it.

static.pt   eager mode, traced: modules with __setstate__
frozen.pt   the same, scripted and frozen: packed parameters in constants.pkl
dynamic.pt  quantize_dynamic, traced
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

    net = torch.quantization.quantize_dynamic(
        nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5)).eval(),
        {nn.Linear}, torch.qint8)
    x = torch.randn(1, 12)
    torch.jit.trace(net, x).save("dynamic.pt")
    np.save("dynamic.x.npy", x.numpy())
    np.save("dynamic.y.npy", net(x).numpy())


with torch.no_grad():
    main()
