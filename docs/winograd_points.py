"""Errors of Winograd's F(4x4, 3x3) in f32 for several sets of points, and with factors rounded to bfloat16:
the tables of kernels.md.

Points are 0, a, -a, b, -b and infinity. 128 channels, 200 tiles, 32 output channels; rectified normal
inputs and normal weights, against f64, in units of the result's deviation. Needs numpy.
"""

import numpy as np

CHANNELS, TILES, OUTPUTS = 128, 200, 32
POINTS = [(1, 2), (1, 0.5), (0.6, 1.5), (0.5**0.5, 2**0.5)]


def transforms(a, b):
    """The matrices B^T, G and A^T for the points."""
    a2, b2 = a * a, b * b
    n_a, n_b = 2 * a2 * (a2 - b2), 2 * b2 * (b2 - a2)
    bt = [
        [a2 * b2, 0, -(a2 + b2), 0, 1, 0],
        [0, -a * b2, -b2, a, 1, 0],
        [0, a * b2, -b2, -a, 1, 0],
        [0, -b * a2, -a2, b, 1, 0],
        [0, b * a2, -a2, -b, 1, 0],
        [0, a2 * b2, 0, -(a2 + b2), 0, 1],
    ]
    g = [
        [1 / (a2 * b2), 0, 0],
        [1 / n_a, a / n_a, a2 / n_a],
        [1 / n_a, -a / n_a, a2 / n_a],
        [1 / n_b, b / n_b, b2 / n_b],
        [1 / n_b, -b / n_b, b2 / n_b],
        [0, 0, 1],
    ]
    at = [
        [1, 1, 1, 1, 1, 0],
        [0, a, -a, b, -b, 0],
        [0, a2, a2, b2, b2, 0],
        [0, a**3, -(a**3), b**3, -(b**3), 1],
    ]
    return (np.array(matrix, np.float32) for matrix in (bt, g, at))


def both_axes(matrix, tiles, order):
    return np.einsum(order, matrix, tiles, matrix, optimize=True).astype(np.float32)


def bfloat16(values):
    """Rounded to the nearest, of two as near to the even one; values are finite."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)


rng = np.random.default_rng(0)
x = np.maximum(rng.standard_normal((TILES, CHANNELS, 6, 6)), 0).astype(np.float32)
w = (rng.standard_normal((OUTPUTS, CHANNELS, 3, 3)) * (2 / (9 * CHANNELS)) ** 0.5).astype(np.float32)
dy = rng.standard_normal((TILES, OUTPUTS, 4, 4)).astype(np.float32)


def direct(dtype, rounded=lambda values: values):
    y = np.empty((4, 4, TILES, OUTPUTS), dtype)
    for i, j in np.ndindex(4, 4):
        patch = rounded(x[:, :, i : i + 3, j : j + 3].reshape(TILES, -1)).astype(dtype)
        y[i, j] = patch @ rounded(w.reshape(OUTPUTS, -1)).T.astype(dtype)
    return y


exact = direct(np.float64)
exact_dw = np.empty((3, 3, CHANNELS, OUTPUTS))
for i, j in np.ndindex(3, 3):
    patch = x[:, :, i : i + 4, j : j + 4].astype(np.float64)
    exact_dw[i, j] = np.einsum("tcyx,tkyx->ck", patch, dy.astype(np.float64), optimize=True)


def show(name, y, dw=None):
    error = (y - exact) / exact.std()
    line = f"{name:16} largest {abs(error).max():.1e}  rms {np.sqrt((error**2).mean()):.1e}"
    if dw is not None:
        line += f"  weight gradient rms {np.sqrt(((dw - exact_dw) ** 2).mean()) / exact_dw.std():.1e}"
    print(line)


show("direct", direct(np.float32))
show("direct bfloat16", direct(np.float32, bfloat16))
for a, b in POINTS:
    bt, g, at = transforms(a, b)
    factors = [
        both_axes(g, w, "ij,kcjl,ml->imkc"),
        both_axes(bt, x, "ij,tcjl,ml->imtc"),
        both_axes(at.T, dy, "ij,tkjl,ml->imtk"),
    ]
    for name, rounded in [("", lambda values: values), (" bf16", bfloat16)]:
        u, v, e = map(rounded, factors)
        y = both_axes(at, np.matmul(v, u.transpose(0, 1, 3, 2)), "ij,jltk,ml->imtk")
        dw = both_axes(g.T, np.matmul(v.transpose(0, 1, 3, 2), e), "ij,jlck,ml->imck")
        show(f"±{a:.3g} ±{b:.3g}{name}", y, dw)
