#!/usr/bin/env python3
"""Images against PIL and torchvision, to the bit.

Decodes files of every kind with the engine and with PIL, then resizes, crops
and normalises with the engine and with torchvision.  Files come from PIL, from
cjpeg and jpegtran (libjpeg-turbo-progs), and from the writers in
image_files.py for what neither of them writes.  Run by `make test-models`
from the root of the repository.
"""

import ctypes
import glob
import io
import os
import random
import struct
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
import torchvision.transforms as T
from PIL import Image, ImageOps

sys.dont_write_bytecode = True
from image_files import bmp, chunk, gif, photo, png, rng, run, saved

warnings.filterwarnings("ignore")


# ---- the engine, through ctypes -------------------------------------------

class Preprocess(ctypes.Structure):
    _fields_ = [("resize", ctypes.c_int32), ("crop", ctypes.c_int32),
                ("color", ctypes.c_int), ("exif", ctypes.c_int32),
                ("mean", ctypes.c_float * 3), ("std", ctypes.c_float * 3)]


class Img(ctypes.Structure):
    _fields_ = [("width", ctypes.c_int32), ("height", ctypes.c_int32),
                ("channels", ctypes.c_int32),
                ("pixels", ctypes.POINTER(ctypes.c_uint8))]


class Error(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char * 512)]


STATUS = ["ok", "unknown", "too large", "corrupt", "no memory"]
RGB, BGR, GRAY = range(3)


def load_engine(tmp):
    path = os.path.join(tmp, "image.so")
    subprocess.check_call(
        ["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-ffp-contract=off",
         "-fPIC", "-shared", "-Iengine", "-o", path]
        + sorted(glob.glob("engine/image/*.c")) + ["-lz", "-lm"])
    lib = ctypes.CDLL(path)
    lib.infer_image_decode.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t,
        ctypes.POINTER(Preprocess), ctypes.POINTER(Img),
        ctypes.POINTER(Error)]
    return lib


def pixels(img):
    a = np.ctypeslib.as_array(
        img.pixels, (img.height, img.width, img.channels)).copy()
    return a[:, :, 0] if img.channels == 1 else a


def decode(data, color=RGB, exif=0):
    """Pixels, or a string: what was wrong."""
    pp, img, err = Preprocess(color=color, exif=exif), Img(), Error()
    status = lib.infer_image_decode(data, len(data), 1 << 26,
                                    ctypes.byref(pp), ctypes.byref(img),
                                    ctypes.byref(err))
    if status != 0:
        return f"{STATUS[status]}: {err.text.decode()}"
    a = pixels(img)
    lib.infer_image_free(ctypes.byref(img))
    return a


def prepare(a, resize, crop, color, mean, std):
    """What the model sees: H x W x C floats."""
    a = np.ascontiguousarray(a)
    c = 3 if a.ndim == 3 else 1
    img = Img(a.shape[1], a.shape[0], c,
              a.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
    pp = Preprocess(resize, crop, color, 0, (ctypes.c_float * 3)(*mean),
                    (ctypes.c_float * 3)(*std))
    out, err = Img(), Error()
    if lib.infer_image_prepare(ctypes.byref(img), ctypes.byref(pp),
                               ctypes.byref(out), ctypes.byref(err)) != 0:
        return err.text.decode()
    f = np.empty((out.height, out.width, c), np.float32)
    lib.infer_image_normalize(ctypes.byref(out), ctypes.byref(pp),
                              f.ctypes.data_as(ctypes.c_void_p))
    lib.infer_image_free(ctypes.byref(out))
    return f


# ---- checks ----------------------------------------------------------------

count = failed = 0


def ok(good, name):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}")


def differs(data):
    """None where the engine's pixels are PIL's, else how they differ."""
    for color, mode in ((RGB, "RGB"), (GRAY, "L")):
        try:
            want = np.asarray(Image.open(io.BytesIO(data)).convert(mode))
        except OSError as e:
            return f"PIL: {e}"
        got = decode(data, color)
        if isinstance(got, str):
            return got
        if got.shape != want.shape:
            return f"{mode}: shape {got.shape}, not {want.shape}"
        if not np.array_equal(got, want):
            d = np.abs(got.astype(int) - want)
            return f"{mode}: max {d.max()} mean {d.mean():.3f} at {d.argmax()}"
    return None


def same(name, files):
    """One check for a list of (what, file)."""
    bad = [f"{what}: {d}" for what, data in files
           for d in [differs(data)] if d]
    ok(not bad, f"{name}: {len(files)} files as PIL"
       + "".join("\n#   " + b for b in bad[:5]))


# ---- PNG -------------------------------------------------------------------

def test_png():
    files = []
    for color, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)),
                          (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            for interlaced in (0, 1):
                for w, h in ((1, 1), (2, 5), (7, 3), (17, 33), (64, 9)):
                    extra = b""
                    if color == 3:
                        extra = chunk(b"PLTE", rng.bytes(
                            3 * random.randint(1, 1 << depth)))
                    if color == 0:
                        extra += random.choice([b"", chunk(b"tRNS", b"\0\1")])
                    if color == 2:
                        extra += random.choice([b"", chunk(b"tRNS", bytes(6))])
                    if color == 3:
                        extra += random.choice([b"", chunk(b"tRNS", b"\0")])
                    files.append((f"color {color} depth {depth} {w}x{h} "
                                  f"interlaced {interlaced}",
                                  png(w, h, color, depth, interlaced, extra)))
    same("PNG, all types", files)

    im = photo(123, 77)
    same("PNG as PIL writes it", [
        (mode, saved(im.convert(mode), "PNG")) for mode in
        ("1", "L", "LA", "P", "RGB", "RGBA", "I")])


# ---- GIF -------------------------------------------------------------------

def test_gif():
    files = []
    for bits in (2, 3, 4, 7, 8):
        pal = [rng.bytes(3 << bits) for _ in range(2)]
        for screen, frame in (((9, 5), (0, 0, 9, 5)), ((30, 20), (3, 4, 9, 9)),
                              ((1, 1), (0, 0, 1, 1)), ((4, 4), (2, 2, 9, 3)),
                              ((90, 70), (0, 0, 90, 70))):
            for kw in ({"palette": pal[0]}, {},
                       {"palette": pal[0], "transparent": 1},
                       {"palette": pal[0], "background": 1, "interlaced": 1},
                       {"palette": pal[0], "local": pal[1]},
                       {"local": pal[1], "transparent": 0, "background": 1}):
                files.append((f"{bits} bits {screen} {frame} {list(kw)}",
                              gif(screen, frame, bits, **kw)))
    same("GIF, palettes, transparency, partial frames", files)

    pal = rng.bytes(768)
    same("GIF with a full code table", [
        (str(clear), gif((300, 300), (0, 0, 300, 300), 8, pal,
                         clear_when_full=clear)) for clear in (True, False)])

    im = photo(123, 77)
    same("GIF as PIL writes it", [
        (mode, saved(im.convert(mode), "GIF", interlace=i))
        for mode in ("1", "L", "P", "RGB") for i in (0, 1)])
    same("GIF, animated", [("", saved(
        im, "GIF", save_all=True, append_images=[photo(123, 77, 1)]))])


# ---- BMP -------------------------------------------------------------------

def test_bmp():
    files = []
    for w, h in ((1, 1), (5, 3), (33, 17)):
        for bits in (1, 4, 8, 16, 24, 32):
            for top_down in (0, 1):
                files.append((f"{bits} bits {w}x{h} top down {top_down}",
                              bmp(w, h, bits, top_down=top_down)))
        for bits, masks in (
                (16, (0xf800, 0x7e0, 0x1f)), (16, (0x7c00, 0x3e0, 0x1f)),
                (32, (0xff0000, 0xff00, 0xff, 0)),
                (32, (0xff000000, 0xff0000, 0xff00, 0)),
                (32, (0xff, 0xff00, 0xff0000, 0xff000000)),
                (32, (0, 0, 0, 0))):
            files.append((f"masks {masks}", bmp(w, h, bits, 3, masks, 108)))
            if bits == 16 or masks[3] == 0:
                files.append((f"masks {masks} behind the header",
                              bmp(w, h, bits, 3, masks[:3])))
        files.append(("124", bmp(w, h, 24, header=124)))
        files.append(("OS/2 2", bmp(w, h, 24, header=64)))
        for bits in (1, 4, 8, 24):
            files.append((f"OS/2 {bits}", bmp(w, h, bits, header=12)))
        files.append(("3 colors", bmp(w, h, 8, colors=3)))
    same("BMP", files)

    im = photo(123, 77)
    same("BMP as PIL writes it", [
        (mode, saved(im.convert(mode), "BMP"))
        for mode in ("1", "L", "P", "RGB", "RGBA")])


# ---- JPEG ------------------------------------------------------------------

def test_jpeg():
    sizes = [(1, 1), (2, 2), (3, 5), (4, 4), (5, 4), (8, 8), (16, 16),
             (17, 15), (31, 64), (67, 45), (200, 133)]
    samples = ["1x1", "2x1", "2x2", "1x2", "4x1", "4x2", "1x4",
               "2x2,2x1,1x2", "2x2,1x1,2x2", "1x1,2x2,1x1", "3x1"]
    for sample in samples:
        files = []
        for w, h in sizes:
            ppm = saved(photo(w, h), "PPM")
            for quality, flags in ((90, []), (30, ["-progressive"]),
                                   (75, ["-restart", "2B"])):
                files.append((f"{w}x{h} {flags}", run(
                    ["cjpeg", "-quality", str(quality), "-sample", sample]
                    + flags, ppm)))
        same(f"JPEG {sample}", files)

    files = []
    for w, h in sizes:
        im = photo(w, h)
        ppm = saved(im, "PPM")
        files += [
            ("gray", run(["cjpeg", "-grayscale"], ppm)),
            ("gray 2x2", run(["cjpeg", "-grayscale", "-sample", "2x2"], ppm)),
            ("RGB", run(["cjpeg", "-rgb"], ppm)),
            ("optimized", run(["cjpeg", "-optimize"], ppm)),
            ("quality 5", run(["cjpeg", "-quality", "5"], ppm)),
            ("quality 100", run(["cjpeg", "-quality", "100"], ppm)),
            ("CMYK", saved(im.convert("CMYK"), "JPEG")),
            ("CMYK progressive",
             saved(im.convert("CMYK"), "JPEG", progressive=True)),
        ]
        ycc = run(["cjpeg", "-sample", "2x1"], ppm)
        files += [
            ("transposed", run(["jpegtran", "-transpose"], ycc)),
            ("progressive gray",
             run(["jpegtran", "-grayscale", "-progressive"], ycc)),
            ("no JFIF", ycc[:2] + ycc[20:]),
            ("two ends", ycc + ycc),
            ("filled", ycc[:20] + b"\xff\xff\xff" + ycc[20:]),
        ]
        scan = os.path.join(tmp, "scans")
        with open(scan, "w") as f:
            f.write("0;\n1;\n2;\n")
        files.append(("one scan each", run(["cjpeg", "-scans", scan], ppm)))
    same("JPEG, colors and layouts", files)

    # Adobe's transform 2: what Photoshop writes for CMYK.
    im = photo(67, 45)
    data = bytearray(saved(im.convert("CMYK"), "JPEG"))
    at = data.index(b"Adobe") + 11
    files = []
    for transform in (0, 1, 2):
        data[at] = transform
        files.append((f"4 components, transform {transform}", bytes(data)))
    data = bytearray(run(["cjpeg", "-rgb"], saved(im, "PPM")))
    adobe = data.index(b"Adobe") + 11
    for transform in (0, 1, 2):
        data[adobe] = transform
        files.append((f"RGB names, transform {transform}", bytes(data)))
    same("JPEG, Adobe's transforms", files)


def test_exif():
    bad = []
    for fmt in ("JPEG", "PNG"):
        for order in "<>":
            for o in range(1, 9):
                tiff = ((b"II" if order == "<" else b"MM")
                        + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x112, 3,
                                      1, o, 0, 0))
                data = saved(photo(70, 41), fmt, exif=b"Exif\0\0" + tiff)
                want = np.asarray(ImageOps.exif_transpose(
                    Image.open(io.BytesIO(data))))
                got = decode(data, exif=1)
                if isinstance(got, str) or not np.array_equal(got, want):
                    bad.append(f"{fmt} {order} {o}")
                if not np.array_equal(decode(data), np.asarray(
                        Image.open(io.BytesIO(data)))):
                    bad.append(f"{fmt} {order} {o} off")
    ok(not bad, "EXIF orientation as PIL's exif_transpose"
       + "".join("\n#   " + b for b in bad))


# ---- refusals --------------------------------------------------------------

def test_truncated():
    """Wherever a file is cut, the engine refuses it if PIL does."""
    for fmt in ("JPEG", "PNG", "GIF", "BMP"):
        data = saved(photo(31, 17), fmt)
        bad = []
        for n in range(10, len(data), 7):
            try:
                Image.open(io.BytesIO(data[:n])).load()
                continue
            except Exception:
                pass
            if not isinstance(decode(data[:n]), str):
                bad.append(str(n))
        ok(not bad, f"{fmt}, truncated: refused as by PIL"
           + "".join(f"\n#   {n} bytes accepted" for n in bad[:5]))


# ---- resize, crop, normalise -----------------------------------------------

def tensor_differs(w, h, resize, crop, gray):
    if gray:
        im = Image.fromarray(rng.integers(0, 256, (h, w), np.uint8))
        mean, std, color = [0.2860] * 3, [0.3530] * 3, GRAY
    else:
        im = Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8))
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        color = random.choice([RGB, BGR])
    n = 1 if gray else 3
    steps = [T.Resize(resize)] if resize else []
    steps += [T.CenterCrop(crop)] if crop else []
    steps += [T.ToTensor(), T.Normalize(mean[:n], std[:n])]
    want = T.Compose(steps)(im).numpy().transpose(1, 2, 0)
    if color == BGR:
        want = want[:, :, ::-1]
    got = prepare(np.asarray(im), resize, crop, color, mean, std)
    if isinstance(got, str) or got.shape != want.shape \
            or got.tobytes() != np.ascontiguousarray(want).tobytes():
        return f"{w}x{h} resize {resize} crop {crop} gray {gray}"
    return None


def test_tensor():
    cases = [(w, h, r, c) for w in (1, 2, 3, 5, 28) for h in (1, 2, 4, 29)
             for r in (0, 1, 3, 28) for c in (0, 1, 5, 28)]
    cases += [(500, 375, 256, 224), (375, 500, 256, 224), (224, 224, 256, 224),
              (256, 256, 256, 224), (256, 300, 256, 224), (255, 257, 256, 224),
              (3, 900, 32, 64), (900, 3, 32, 64), (2000, 1500, 256, 224),
              (1, 3000, 8, 8), (4032, 3024, 256, 224), (640, 480, 0, 224),
              (100, 480, 0, 224), (333, 222, 342, 299)]
    for _ in range(1500):
        side = random.choice([6, 40, 300])
        cases.append((random.randint(1, side), random.randint(1, side),
                      random.choice([0, random.randint(1, 80)]),
                      random.choice([0, random.randint(1, 80)])))
    cases = [c for c in cases if max(c[:2]) * c[2] // min(c[:2]) < 40000]
    bad = [d for c in cases for gray in (0, 1)
           for d in [tensor_differs(*c, gray)] if d]
    ok(not bad, f"resize, crop, normalise: {2 * len(cases)} tensors bit-equal "
       "to torchvision's" + "".join("\n#   " + b for b in bad[:8]))


with tempfile.TemporaryDirectory() as tmp:
    lib = load_engine(tmp)
    for test in (test_png, test_gif, test_bmp, test_jpeg, test_exif,
                 test_truncated, test_tensor):
        test()

print(f"1..{count}")
sys.exit(failed != 0)
