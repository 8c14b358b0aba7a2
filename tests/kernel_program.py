"""Run as a program: prints one hash per operation and thread count, over shapes that are cut into many chunks."""

import hashlib
import sys

import numpy as np

from fastnn import get_num_threads, kernels, threads


def results(ops):
    """Yield (name, outputs) of operations on data from one seed."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    def blank(*shape):
        return np.full(shape, np.nan, np.float32)

    for n, c, k in [(32, 784, 256), (300, 200, 513), (2000, 7, 33)]:
        x, w, b, dz = normal(n, c), normal(c, k), normal(k), normal(n, k)
        y, dw, db, dx = blank(n, k), blank(c, k), blank(k), blank(n, c)
        ops.dense_forward(x, w, b, 9, 0.0, y)
        ops.dense_weight_gradient(x, dz, blank(ops.dense_scratch_size(n, c, k)), dw, db)
        ops.dense_input_gradient(dz, w, dx)
        yield f"dense {n} {c} {k}", (y, dw, db, dx)
    x, w, b = normal(19, 14, 14, 32), normal(3, 3, 32, 64), normal(64)
    y, geometry = blank(19, 14, 14, 64), ((1, 1), (1, 1), (1, 1), 1)
    dz, dw, db, dx = normal(*y.shape), blank(*w.shape), blank(64), blank(*x.shape)
    scratch = blank(ops.conv2d_scratch_size(x.shape, w.shape, y.shape, 1))
    ops.conv2d_forward(x, w, b, *geometry, 1, 0.0, y)
    ops.conv2d_weight_gradient(x, dz, *geometry, scratch, dw, db)
    ops.conv2d_input_gradient(dz, w, *geometry, scratch, dx)
    yield "conv2d", (y, dw, db, dx)
    pooled, index = blank(19, 7, 7, 64), np.zeros((19, 7, 7, 64), np.uint16)
    ops.max_pool2d_forward(y, (2, 2), (2, 2), (0, 0), index, pooled)
    ops.max_pool2d_backward(index, pooled, (2, 2), (2, 2), (0, 0), dz)
    yield "max_pool2d", (pooled, dz)
    rows, m = y.reshape(-1, 64), y.size // 64
    mean, var, out, dgamma = blank(64), blank(64), blank(m, 64), blank(64)
    scratch = blank(ops.batch_norm_scratch_size(m, 64))
    ops.batch_norm_forward(rows, b, b, 1e-5, scratch, mean, var, out)
    ops.batch_norm_backward(rows, b, mean, var, 1e-5, out, scratch, rows, dgamma, mean)
    yield "batch_norm", (out, rows, dgamma, mean)
    total = np.zeros(1)
    ops.sum_of_squares(out.reshape(-1), total)
    yield "sum_of_squares", (total,)


if __name__ == "__main__":
    for count in map(int, sys.argv[1:]):
        with threads(count):
            for name, outputs in results(kernels):
                digest = hashlib.sha256(b"".join(a.tobytes() for a in outputs)).hexdigest()
                print(get_num_threads(), name, digest, sep="|")
