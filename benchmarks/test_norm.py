"""Batch normalisation beside a plain copy of the same arrays; images are passed as (N*H*W, C)."""

import pytest

from fastnn.kernels import batch_norm_scratch_size

from .calls import blank, normal, scratch
from .pairs import Call
from .shapes import AS_COPY, rows

EPS = 1e-5


@pytest.mark.benchmark(group="batch norm")
@rows("batch_norm")
def test_batch_norm(compare, operation, shape):
    m, c = shape.n, shape.c
    x, gamma, beta, dy = normal(m, c), normal(c, seed=1), normal(c, seed=2), normal(m, c, seed=3)
    mean, var, wanted = x.mean(axis=0), x.var(axis=0), scratch(batch_norm_scratch_size(m, c))
    y, per_channel = blank(m, c), (blank(c), blank(c))
    gradients = (x, gamma, beta, mean, var, EPS, False, dy, wanted, y, *per_channel)
    forward = (x, gamma, beta, EPS, x[:0], False, wanted, *per_channel, y)
    call = {
        "batch_norm_forward": Call(operation, *forward, outputs=3, scratch=6),
        "batch_norm_backward": Call(operation, *gradients, outputs=3, scratch=8),
        "batch_norm_follow": Call(operation, m, 0.1, mean, var, beta.copy(), gamma.copy(), outputs=2, updated=2),
        "batch_norm_inference": Call(operation, x, gamma, beta, mean, var, EPS, x[:0], False, y),
        "batch_norm_inference_backward": Call(operation, *gradients, outputs=3, scratch=8),
    }[operation]
    compare.calls(call, shape, AS_COPY, copy=True)
