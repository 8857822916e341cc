"""Writers of image files, for what PIL does not write.

Shared by the comparison with PIL (image.py) and by the generator of the
fixtures (t/data/images/make.py).
"""

import io
import random
import struct
import subprocess
import zlib

import numpy as np
from PIL import Image

random.seed(1)
rng = np.random.default_rng(1)


def photo(w, h, seed=0):
    """Smooth areas, edges and noise, as a photograph has."""
    r = np.random.default_rng(seed + 7 * w + h)
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([128 + 100 * np.sin(x / (5 + 3 * c) + c)
                  * np.cos(y / (7 + 2 * c)) for c in range(3)], 2)
    a[h // 3: h // 2 + 1, w // 4: w // 2 + 1] = r.integers(0, 256, 3)
    a += r.normal(0, 12, a.shape)
    return Image.fromarray(a.clip(0, 255).astype(np.uint8))


def saved(im, fmt, **kw):
    f = io.BytesIO()
    im.save(f, fmt, **kw)
    return f.getvalue()


def chunk(tag, data):
    return (struct.pack(">I", len(data)) + tag + data
            + struct.pack(">I", zlib.crc32(tag + data)))


def png_filter(rows, bpp):
    """Filters rows of bytes, each with a filter drawn at random."""
    out, prior = b"", np.zeros(rows.shape[1] if len(rows) else 0, int)
    for row in rows.astype(int):
        left = np.concatenate([np.zeros(bpp, int), row])[:len(row)]
        corner = np.concatenate([np.zeros(bpp, int), prior])[:len(row)]
        kind = random.randrange(5)
        if kind == 4:
            p = left + prior - corner
            pa, pb, pc = abs(p - left), abs(p - prior), abs(p - corner)
            guess = np.where((pa <= pb) & (pa <= pc), left,
                             np.where(pb <= pc, prior, corner))
        else:
            guess = (0 * row, left, prior, (left + prior) // 2)[kind]
        out += bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes()
        prior = row
    return out


def png(w, h, color, depth, interlaced, extra=b""):
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    a = rng.integers(0, 1 << depth, (h, w, samples))
    raw = b""
    for x0, y0, dx, dy in ([(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8),
                            (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
                            (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]):
        sub = a[y0::dy, x0::dx]
        if not sub.size:
            continue
        flat = sub.reshape(len(sub), -1)
        bits = (flat[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(len(sub), -1).astype(np.uint8), 1)
        raw += png_filter(rows, max(1, samples * depth // 8))
    z = zlib.compress(raw)
    cut = random.randrange(len(z))
    return (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, color, 0, 0,
                                         interlaced))
            + extra + chunk(b"IDAT", z[:cut]) + chunk(b"IDAT", b"")
            + chunk(b"IDAT", z[cut:]) + chunk(b"IEND", b""))


def lzw(index, min_bits, clear_when_full=True):
    """Codes as an encoder with a dictionary writes them, in blocks."""
    clear = 1 << min_bits
    acc = n = 0
    out = bytearray()

    def put(code, bits):
        nonlocal acc, n
        acc |= code << n
        n += bits
        while n >= 8:
            out.append(acc & 255)
            acc >>= 8
            n -= 8

    table = {(i,): i for i in range(clear)}
    bits, following = min_bits + 1, clear + 2
    put(clear, bits)
    text = ()
    for i in index:
        if text + (i,) in table:
            text += (i,)
            continue
        put(table[text], bits)
        if following < 4096:
            table[text + (i,)] = following
            if following == 1 << bits:
                bits += 1
            following += 1
        elif clear_when_full:
            put(clear, bits)
            table = {(k,): k for k in range(clear)}
            bits, following = min_bits + 1, clear + 2
        text = (i,)
    put(table[text], bits)
    if following == 1 << bits and bits < 12:
        bits += 1
    put(clear + 1, bits)
    put(0, 7)
    return b"".join(bytes([len(out[i:i + 255])]) + bytes(out[i:i + 255])
                    for i in range(0, len(out), 255)) + b"\0"


def gif(screen, frame, min_bits, palette=None, local=None, transparent=None,
        background=0, interlaced=0, **kw):
    x, y, w, h = frame
    index = rng.integers(0, 1 << min_bits, w * h)
    if w * h > 3000:
        index = np.sort(index.reshape(-1, 10), 1).ravel()
    flags = 0x80 | min_bits - 1
    out = b"GIF89a" + struct.pack("<HHBBB", *screen,
                                  flags if palette else 0, background, 0)
    out += palette or b""
    if transparent is not None:
        out += b"!\xf9\4\1\0\0" + bytes([transparent]) + b"\0"
    out += b"!\xfe\5hello\0"
    out += b"," + struct.pack("<HHHHB", x, y, w, h,
                              (flags if local else 0) | interlaced << 6)
    out += (local or b"") + bytes([min_bits])
    return out + lzw(index.tolist(), min_bits, **kw) + b";"


def bmp(w, h, bits, compression=0, masks=(), header=40, top_down=0, colors=0):
    row = (w * bits + 31) // 32 * 4
    entries = (colors or 1 << bits) if bits <= 8 else 0
    body = rng.bytes(row * h)
    if entries and entries < 1 << bits:
        body = bytes(b % entries for b in body)
    palette = rng.bytes(entries * (3 if header == 12 else 4))
    packed = b"".join(struct.pack("<I", m) for m in masks)
    if header == 12:
        head = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, w, -h if top_down else h, 1,
                           bits, compression, len(body), 0, 0, colors, 0)
        head += packed if header > 40 else b""
        head += bytes(header - len(head))
        head += packed if header == 40 else b""
    offset = 14 + len(head) + len(palette)
    return (b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset)
            + head + palette + body)


def run(command, data):
    return subprocess.run(command, input=data, capture_output=True,
                          check=True).stdout
