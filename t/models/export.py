#!/usr/bin/python3
"""Writes the models and inputs that `make test-models` compares engines on.

    export.py DIR

torchvision's classifiers are built with random weights from a fixed seed (no
weights can be had offline, and none are needed: both engines read the same
file).  Random is not enough, though: a fresh BatchNormalization has mean 0,
variance 1, weight 1 and bias 0, and an engine that ignored all four would
pass.  So every affine weight is randomised, the statistics are measured on
random images, which keeps activations in range through any depth, and then
moved away from what they should be.

DIR/NAME.onnx            opset 13 (ViT 14), batch axis "N"
DIR/input/SIZE_5.npy     five images, standard normal, NCHW
DIR/input/SIZE_I.npy     image I of them alone, for I = 0 .. 4
DIR/input/photo_224.npy  a photograph as torchvision's transform gives it
DIR/input/photo.png      the same photograph

Files newer than this script are left as they are.
"""

import os
import sys
import warnings
import zlib

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.onnx import TrainingMode
from torchvision import transforms

PHOTOGRAPH = "/usr/share/backgrounds/Bridge_by_Sander_Klootwijk.jpg"

CALIBRATION_BATCHES = 2
CALIBRATION_IMAGES = 4
COARSE = 32                         # pixels of a block, see images()

# name: (options of torchvision's constructor, input size, opset)
MODELS = {
    "squeezenet1_1": ({}, 224, 13),
    "mobilenet_v2": ({}, 224, 13),
    "mobilenet_v3_small": ({}, 224, 13),
    "shufflenet_v2_x1_0": ({}, 224, 13),
    "efficientnet_b0": ({}, 224, 13),
    "resnet18": ({}, 224, 13),
    "resnet50": ({}, 224, 13),
    "densenet121": ({}, 224, 13),
    # transform_input is what the pretrained ones of these two have.
    "googlenet": ({"init_weights": False, "transform_input": True}, 224, 13),
    "inception_v3": ({"init_weights": False, "transform_input": True}, 299, 13),
    "vgg16": ({}, 224, 13),
    "vit_b_16": ({}, 224, 14),
}

# name: (model, options of torch.onnx.export that differ)
VARIANTS = {
    "resnet18_unfolded": ("resnet18", {"do_constant_folding": False}),
    "resnet18_bn": ("resnet18", {"training": TrainingMode.PRESERVE,
                                 "do_constant_folding": False}),
    "resnet18_fixed": ("resnet18", {"dynamic_axes": None}),
    # Exported as nobody should: one with BatchNormalization, one with
    # nothing but Dropout to tell.
    "resnet18_training": ("resnet18", {"training": TrainingMode.TRAINING,
                                       "do_constant_folding": False}),
    "squeezenet1_1_training": ("squeezenet1_1",
                               {"training": TrainingMode.TRAINING,
                                "do_constant_folding": False}),
}

NORMS = (nn.BatchNorm2d, nn.LayerNorm)


def fresh(path):
    return (os.path.exists(path)
            and os.path.getmtime(path) > os.path.getmtime(__file__))


def images(n, size, seed):
    """Standard normal, half of the variance in blocks of COARSE pixels: fine
    noise alone averages out, and every image would score the same."""
    rng = np.random.default_rng(seed)
    blocks = -(-size // COARSE)
    coarse = rng.standard_normal((n, 3, blocks, blocks), dtype=np.float32)
    coarse = coarse.repeat(COARSE, axis=2).repeat(COARSE, axis=3)
    fine = rng.standard_normal((n, 3, size, size), dtype=np.float32)

    return (coarse[:, :, :size, :size] + fine) * np.float32(0.5 ** 0.5)


def randomise(model):
    """Gives every parameter that starts at a constant a value of its own, and
    classifiers weights large enough that their biases do not decide."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        for name, p in module.named_parameters(recurse=False):
            if isinstance(module, NORMS) and name == "weight":
                p.uniform_(0.7, 1.3)
            elif p.dim() == 1:
                p.normal_(0, 0.1)


def calibrate(model, size):
    """Measures the statistics of every BatchNormalization, then moves them."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return

    for m in norms:
        m.reset_running_stats()
        m.momentum = None           # the mean over all batches

    model.train()
    for seed in range(CALIBRATION_BATCHES):
        model(torch.from_numpy(images(CALIBRATION_IMAGES, size, seed)))

    for m in norms:
        deviation = m.running_var.sqrt()
        m.running_mean += 0.1 * deviation * torch.randn(m.num_features)
        m.running_var *= torch.empty(m.num_features).uniform_(0.8, 1.25)


def build(name):
    options, size, _ = MODELS[name]
    torch.manual_seed(zlib.crc32(name.encode()))
    model = getattr(torchvision.models, name)(weights=None, **options)

    with torch.no_grad():
        randomise(model)
        calibrate(model, size)

    return model.eval()


def export(model, name, path, **changes):
    _, size, opset = MODELS[name]
    options = dict(opset_version=opset, input_names=["input"],
                   output_names=["logits"],
                   dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}})
    options.update(changes)

    temporary = path + ".part"
    model.train(options.get("training") == TrainingMode.TRAINING)
    torch.onnx.export(model, torch.zeros(1, 3, size, size), temporary,
                      **options)
    model.eval()
    os.rename(temporary, path)
    print(path, flush=True)


def export_models(directory):
    for name in MODELS:
        wanted = {name: {}}
        wanted.update({v: changes for v, (base, changes) in VARIANTS.items()
                       if base == name})
        stale = [v for v in wanted
                 if not fresh(os.path.join(directory, v + ".onnx"))]
        if not stale:
            continue

        model = build(name)
        for v in stale:
            export(model, name, os.path.join(directory, v + ".onnx"),
                   **wanted[v])


def write_inputs(directory):
    os.makedirs(directory, exist_ok=True)

    for size in sorted({size for _, size, _ in MODELS.values()}):
        x = images(5, size, size)
        np.save(os.path.join(directory, f"{size}_5.npy"), x)
        for i in range(5):
            np.save(os.path.join(directory, f"{size}_{i}.npy"), x[i:i + 1])

    transform = transforms.Compose([
        transforms.Resize(256), transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    photo = Image.open(PHOTOGRAPH).convert("RGB")
    photo.thumbnail((640, 640))
    photo.save(os.path.join(directory, "photo.png"))
    np.save(os.path.join(directory, "photo_224.npy"),
            transform(photo).unsqueeze(0).numpy())


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: export.py DIR")

    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    warnings.filterwarnings("ignore")
    write_inputs(os.path.join(directory, "input"))
    export_models(directory)


if __name__ == "__main__":
    main()
