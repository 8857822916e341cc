#!/usr/bin/env python3
"""Writes the files here, and what PIL and torchvision make of them.

Run by hand from the root of the repository, with Debian's python3-pil,
python3-torchvision and libjpeg-turbo-progs; t/engine/image.c reads the result.

expected.txt: "image FILE WIDTH HEIGHT RGB L" with the CRC-32 of the pixels
after convert("RGB") and convert("L"); "exif FILE WIDTH HEIGHT RGB" after
exif_transpose; "tensor FILE RESIZE CROP COLOR CRC" with that of the float
tensor in NHWC order.
"""

import io
import os
import struct
import sys
import zlib

import numpy as np
import torchvision.transforms as T
from PIL import Image, ImageOps

sys.dont_write_bytecode = True
sys.path.insert(0, "t/models")
from image_files import bmp, chunk, gif, photo, png, rng, run, saved

HERE = os.path.dirname(__file__)
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def jpegs():
    ppm = saved(photo(35, 21), "PPM")
    for name, flags in (("444", ["-sample", "1x1"]),
                        ("422", ["-sample", "2x1"]),
                        ("420", ["-sample", "2x2"]),
                        ("440", ["-sample", "1x2"]),
                        ("411", ["-sample", "4x1"]),
                        ("progressive", ["-progressive"]),
                        ("restart", ["-restart", "1B"]),
                        ("gray", ["-grayscale"]), ("rgb", ["-rgb"]),
                        ("coarse", ["-quality", "3"])):
        yield name, run(["cjpeg", "-optimize"] + flags, ppm)
    for w, h in ((1, 1), (3, 3), (5, 4)):
        yield f"tiny{w}", run(["cjpeg"], saved(photo(w, h), "PPM"))
    cmyk = bytearray(saved(photo(35, 21).convert("CMYK"), "JPEG"))
    yield "cmyk", bytes(cmyk)
    cmyk[cmyk.index(b"Adobe") + 11] = 2
    yield "ycck", bytes(cmyk)


def pngs():
    palette = chunk(b"PLTE", rng.bytes(9))
    for name, args in (
            ("gray1", (0, 1, 0)), ("gray2", (0, 2, 1)), ("gray4", (0, 4, 0)),
            ("gray8", (0, 8, 1)), ("gray16", (0, 16, 0)),
            ("rgb8", (2, 8, 1)), ("rgb16", (2, 16, 0)),
            ("palette2", (3, 2, 0, palette)),
            ("palette8", (3, 8, 1, palette + chunk(b"tRNS", b"\0\x80"))),
            ("graya8", (4, 8, 0)), ("rgba8", (6, 8, 1)),
            ("rgba16", (6, 16, 0)),
            ("trns", (2, 8, 0, chunk(b"tRNS", bytes(6))))):
        yield name, png(13, 11, *args)
    yield "column", png(1, 9, 2, 8, 1)


def gifs():
    a, b = rng.bytes(48), rng.bytes(48)
    for name, args, kw in (
            ("plain", ((13, 11), (0, 0, 13, 11)), {"palette": a}),
            ("interlaced", ((13, 11), (0, 0, 13, 11)),
             {"palette": a, "interlaced": 1}),
            ("partial", ((13, 11), (2, 3, 7, 5)),
             {"palette": a, "local": b, "transparent": 2, "background": 1}),
            ("uncovered", ((13, 11), (2, 3, 7, 5)),
             {"palette": a, "background": 3}),
            ("beyond", ((5, 4), (2, 3, 7, 5)), {"palette": a}),
            ("nopalette", ((13, 11), (0, 0, 13, 11)), {})):
        yield name, gif(*args, 4, **kw)
    # More strings than the table holds, and no clear code after that.
    yield "full", gif((90, 90), (0, 0, 90, 90), 8, rng.bytes(768),
                      clear_when_full=False)


def bmps():
    for name, args in (("1", (1,)), ("4", (4,)), ("8", (8,)), ("16", (16,)),
                       ("24", (24,)), ("32", (32,)),
                       ("565", (16, 3, (0xf800, 0x7e0, 0x1f))),
                       ("rgbx", (32, 3, (0xff, 0xff00, 0xff0000, 0xff000000),
                                 108)),
                       ("os2", (4, 0, (), 12))):
        yield name, bmp(7, 5, *args)
    yield "topdown", bmp(7, 5, 24, top_down=1)


def exifs():
    for o in range(1, 9):
        order = "<>"[o % 2]
        tiff = ((b"II" if order == "<" else b"MM")
                + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x112, 3, 1, o, 0,
                              0))
        fmt = ("JPEG", "PNG")[o % 3 == 0]
        yield f"{o}.{fmt.lower()}", saved(photo(7, 4), fmt,
                                          exif=b"Exif\0\0" + tiff)


def crc(a):
    return f"{zlib.crc32(np.ascontiguousarray(a).tobytes()):08x}"


def tensor(name, resize, crop, color):
    im = Image.open(os.path.join(HERE, name))
    im = im.convert("L" if color == "gray" else "RGB")
    n = 1 if color == "gray" else 3
    steps = ([T.Resize(resize)] if resize else []) \
        + ([T.CenterCrop(crop)] if crop else []) \
        + [T.ToTensor(), T.Normalize(MEAN[:n], STD[:n])]
    a = T.Compose(steps)(im).numpy().transpose(1, 2, 0)
    return crc(a[:, :, ::-1] if color == "bgr" else a)


lines = []
for prefix, suffix, files in (
        ("jpeg-", ".jpg", jpegs()), ("png-", ".png", pngs()),
        ("gif-", ".gif", gifs()), ("bmp-", ".bmp", bmps()),
        ("exif-", "", exifs())):
    for name, data in files:
        name = prefix + name + suffix
        with open(os.path.join(HERE, name), "wb") as f:
            f.write(data)
        im = Image.open(io.BytesIO(data))
        lines.append(f"image {name} {im.width} {im.height} "
                     f"{crc(im.convert('RGB'))} {crc(im.convert('L'))}")
        if prefix == "exif-":
            im = ImageOps.exif_transpose(im)
            lines.append(f"exif {name} {im.width} {im.height} "
                         f"{crc(im.convert('RGB'))}")

for name in ("jpeg-420.jpg", "png-column.png", "gif-full.gif"):
    for resize, crop, color in ((0, 0, "rgb"), (16, 0, "rgb"), (32, 28, "bgr"),
                                (8, 16, "gray"), (57, 40, "rgb"),
                                (0, 10, "gray"), (40, 57, "rgb")):
        lines.append(f"tensor {name} {resize} {crop} {color} "
                     + tensor(name, resize, crop, color))

with open(os.path.join(HERE, "expected.txt"), "w") as f:
    f.write("\n".join(lines) + "\n")
