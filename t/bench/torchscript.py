#!/usr/bin/python3
"""Writes what t/bench/server.py serves and sends.

    torchscript.py MODELS DIR NAME...

DIR/NAME.pt     TorchScript, traced, with the weights of MODELS/NAME.onnx
DIR/photo.jpg   a photograph of 500x375, as ImageNet's are

Files newer than the ONNX file are left as they are.
"""

import os
import sys
import warnings

import torch
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../models"))
import export  # noqa: E402

PHOTOGRAPH = "/usr/share/doc/opencv-doc/examples/data/leuvenA.jpg"


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: torchscript.py MODELS DIR NAME...")

    models, directory = sys.argv[1:3]
    os.makedirs(directory, exist_ok=True)
    warnings.filterwarnings("ignore")

    photo = Image.open(PHOTOGRAPH).convert("RGB")
    photo.resize((500, 375), Image.Resampling.LANCZOS).save(
        os.path.join(directory, "photo.jpg"), quality=95)

    for name in sys.argv[3:]:
        path = os.path.join(directory, name + ".pt")
        onnx = os.path.join(models, name + ".onnx")
        if (os.path.exists(path)
                and os.path.getmtime(path) > os.path.getmtime(onnx)):
            continue

        size = export.MODELS[name][1]
        with torch.no_grad():
            traced = torch.jit.trace(export.build(name),
                                     torch.randn(1, 3, size, size))
        traced.save(path + ".part")
        os.rename(path + ".part", path)


main()
