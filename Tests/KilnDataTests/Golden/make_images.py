"""Small PNG files, written with zlib alone, and what must be read from them, as images.npz. Needs numpy and torch.

The JPEG files are made by make_images.c from the same gradient.
"""
import struct
import zlib

import numpy as np
import torch

random = np.random.default_rng(7)
y, x = np.mgrid[0:12, 0:17]
smooth = np.stack([x * 14, y * 20, (x + y) * 8], axis=-1).astype(np.uint8)
noise = random.integers(0, 256, (12, 17, 4), dtype=np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name, pixels, kind, depth=8, extra=b""):
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + pixels[row].tobytes() for row in range(height))
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    with open(name, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + data)


gray, rgb = noise[..., 0], np.ascontiguousarray(noise[..., :3])
places = random.integers(0, 16, (12, 17), dtype=np.uint8)
palette = random.integers(0, 256, (16, 3), dtype=np.uint8)
png("gray.png", gray, 0)
png("rgb.png", rgb, 2)
png("rgba.png", noise, 6)
png("palette.png", places, 3, extra=chunk(b"PLTE", palette.tobytes()))
# Pillow's BILINEAR and this agree: a triangle that is widened when it shrinks.
image = torch.tensor(rgb).permute(2, 0, 1)[None].double()
small = torch.nn.functional.interpolate(image, (5, 7), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
large = torch.nn.functional.interpolate(image, (20, 31), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
luminance = rgb.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
np.savez(
    "images.npz", gray_png=gray, rgb_png=rgb, rgba_png=noise, palette_png=palette[places], smooth=smooth,
    small=small.numpy(), large=large.numpy(), luminance=luminance)
