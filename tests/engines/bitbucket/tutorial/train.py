"""Fits a line to points by least squares, and draws both."""

import csv
import json
import struct
import zlib
from pathlib import Path

SIZE = 64


def fit(points):
    n = len(points)
    x_mean, y_mean = (sum(point[axis] for point in points) / n for axis in (0, 1))
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / sum((x - x_mean) ** 2 for x, _ in points)
    intercept = y_mean - slope * x_mean
    rest = sum((y - slope * x - intercept) ** 2 for x, y in points)
    return slope, intercept, 1 - rest / sum((y - y_mean) ** 2 for _, y in points)


def png(rows):
    """Grey pixels, one byte each: https://www.w3.org/TR/png-3/."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def draw(points, slope, intercept):
    right, top = max(x for x, _ in points), max(y for _, y in points)
    rows = [[255] * SIZE for _ in range(SIZE)]

    def dot(x, y, grey):
        column, row = round(x / right * (SIZE - 1)), round((1 - y / top) * (SIZE - 1))
        if 0 <= row < SIZE:
            rows[row][column] = grey

    for column in range(SIZE):
        x = column / (SIZE - 1) * right
        dot(x, slope * x + intercept, 160)
    for x, y in points:
        dot(x, y, 0)
    return png(rows)


points = [(float(x), float(y)) for x, y in csv.reader(Path("data/points.csv").open())]
slope, intercept, r2 = fit(points)
Path("model").mkdir(exist_ok=True)
Path("model/line.json").write_text(json.dumps({"slope": slope, "intercept": intercept}) + "\n")
Path("model/metrics.txt").write_text(f"R2: {r2:.4f}\n")
Path("model/fit.png").write_bytes(draw(points, slope, intercept))
