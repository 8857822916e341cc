#!/usr/bin/env python3
"""What `infer convert --quantize static` costs on torchvision's networks:
calibrated on photographs of opencv-doc, the logits on those of skimage, which
it has not seen, point where they did.  The same photographs under other names
give the same bytes.  Run by `make test-models` from the root of the
repository, with BUILD in the environment.

The weights are torchvision's own for a fixed seed.
"""

import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
import torchvision

BUILD = os.environ.get("BUILD", "build")
INFER = os.path.join(BUILD, "infer")
MODELS = os.path.join(BUILD, "models", "plain")

# name: the least cosine of the logits
COSINE = {"resnet18": 0.99, "resnet50": 0.99, "mobilenet_v2": 0.98,
          "mobilenet_v3_small": 0.98, "efficientnet_b0": 0.98}
TWICE = "resnet18"                  # converted again

OPENCV = "/usr/share/doc/opencv-doc/examples/data"
CALIBRATION = """HappyFish aero1 aero3 aloeL aloeR apple baboon board building
    butterfly ela_original fruits home left leuvenA leuvenB messi5 orange
    squirrel_cls starry_night stuff licenseplate_motion""".split()
SKIMAGE = os.path.join(BUILD, "skimage")
UNSEEN = """astronaut.png camera.png chelsea.png coffee.png grass.png
    gravel.png motorcycle_left.png rocket.jpg""".split()

PREPROCESS = ("resize=256 crop=224 mean=0.485,0.456,0.406 "
              "std=0.229,0.224,0.225")

tests = failed = 0


def ok(passed, what):
    global tests, failed
    tests += 1
    failed += not passed
    print(f"{'ok' if passed else 'not ok'} {tests} - {what}", flush=True)


def export(name):
    """The model as torchvision makes it; batch normalisation in evaluation
    is folded by the exporter."""
    path = os.path.join(MODELS, name + ".onnx")
    if not (os.path.exists(path)
            and os.path.getmtime(path) > os.path.getmtime(__file__)):
        torch.manual_seed(0)
        model = getattr(torchvision.models, name)(weights=None).eval()
        torch.onnx.export(model, torch.zeros(1, 3, 224, 224), path + ".part",
                          opset_version=13, input_names=["input"],
                          output_names=["logits"],
                          dynamic_axes={"input": {0: "N"},
                                        "logits": {0: "N"}})
        os.rename(path + ".part", path)
    return path


def infer(*args):
    subprocess.run([INFER, *args], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def convert(model, photographs, out):
    infer("convert", model, "-o", out, "--quantize", "static", "--calibrate",
          photographs, "--preprocess", PREPROCESS)


def logits(model, photographs, out):
    infer("eval", model, photographs, "--preprocess", PREPROCESS, "--logits",
          out)
    return np.load(out).astype(np.float64)


def check(name, tmp):
    model = export(name)
    small, out = (os.path.join(tmp, f) for f in ("int8.infer", "out.npy"))
    convert(model, f"{tmp}/seen", small)

    x, y = (logits(m, f"{tmp}/unseen", out) for m in (model, small))
    cosine = (x * y).sum(axis=1) / (np.linalg.norm(x, axis=1)
                                    * np.linalg.norm(y, axis=1))
    ok(x.shape == y.shape == (len(UNSEEN), 1000)
       and cosine.min() >= COSINE[name] and not np.array_equal(x, y),
       f"{name}: cosine of the logits at least {cosine.min():.4f}")

    share = os.path.getsize(small) / os.path.getsize(model)
    ok(share < 0.3, f"{name}: {100 * share:.0f} % of the float file")

    if name == TWICE:
        with open(small, "rb") as f:
            expected = f.read()
        for what, folder in (("again", "seen"), ("shuffled", "shuffled")):
            convert(model, f"{tmp}/{folder}", small)
            with open(small, "rb") as f:
                ok(f.read() == expected, f"{name}, {what}: the same bytes")


def folders(tmp):
    """seen/, shuffled/ with the same under other names, unseen/0/."""
    for folder in ("seen", "shuffled/a", "shuffled/b", "unseen/0"):
        os.makedirs(os.path.join(tmp, folder))

    for i, name in enumerate(CALIBRATION):
        photograph = f"{OPENCV}/{name}.jpg"
        os.symlink(photograph, f"{tmp}/seen/{name}.jpg")
        os.symlink(photograph,
                   f"{tmp}/shuffled/{'ab'[i % 2]}/{99 - i}.jpg")

    for name in UNSEEN:
        os.symlink(os.path.abspath(f"{SKIMAGE}/{name}"),
                   f"{tmp}/unseen/0/{name}")


def main():
    warnings.filterwarnings("ignore")
    os.makedirs(MODELS, exist_ok=True)

    with tempfile.TemporaryDirectory() as tmp:
        folders(tmp)
        for name in COSINE:
            check(name, tmp)

    print(f"1..{tests}")
    sys.exit(failed > 0)


main()
