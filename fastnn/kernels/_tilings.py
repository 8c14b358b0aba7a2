"""Which convolutions take Winograd's products (winograd.py), and in tiles of how many outputs."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._transforms import LARGE_TILE, LARGE_TILE_OF_5, TILE, TILE_OF_5

# Share of the products from which on larger tiles pay; 18x18 pixels, 64 to 64: 0.87, 1.02, 1.02, 0.94; 5x5 kernels,
# 10x10 pixels, 0.87, 64 to 64 1.01, 1.02, 0.96, 16x16, 0.77, 1.2, 1.2, 1.2.
FEWER = 0.85
# Winograd's products from here on, measured in turn with the direct kernels: times as fast, forward, input gradient,
# weight gradient. Channels, 64 images of 16x16 pixels: 8 to 16 1.0, 0.7, 0.8, 8 to 32 1.7, 1.4, 2.1, 16 to 16 1.6, 1.6,
# 1.6. Outputs, few of which do not pay for the transform of the weights: 8x8 pixels, 128 to 128 channels,
# 3 images 0.8, 0.9, 0.6; 64 to 64, 4 images 0.9, 1.0, 1.0, 8 images 1.5, 1.9, 2.5; 1 of 16x16, 64 to 64 1.3, 1.6, 1.0.
# Share of the direct products: 64 images, 5x5 pixels, tiles of 4x4 outputs, 0.64, 64 to 64 0.9, 0.9, 1.0, of 5x5, 0.22,
# 1.9, 1.9, 2.1; 6x6, 0.44, 1.3, 1.3, 1.5.
LEAST, LIGHT = 8, 192  # channels of x and of y, and the product of both
# The same for 5x5 kernels: 16x16 pixels, 8 to 16 0.7, 0.8, 1.2, 8 to 32 0.8, 1.1, 1.3, 16 to 16 1.6, 1.6, 1.5; 12x12,
# 12 to 24 0.9, 1.5, 1.7, 20 to 20 1.3, 1.3, 1.6. One image of 16x16, 64 to 64 1.4, 1.6, 1.1; of 28x28, 32 to 64 1.9,
# 2.0, 3.3; 4 of 8x8, 128 to 128 2.4, 2.4, 1.0.
LEAST_OF_5, LIGHT_OF_5 = 16, 256
SPARSE, SHORT = 256, 1 << 19  # outputs, and outputs times input channels
# Back, without padding: 5x5, 12x12 pixels, 0.49, 20 to 50 1.3, 16 to 32 1.1; with tiles of 2x2 outputs, 0.81, 0.8 and
# 0.7. 3x3, 6x6 pixels, 1.0, 32 to 64 0.6; 5x5 pixels, 0.605, 64 to 64 1.0.
SHARE, SHARE_BACK = 0.5, 0.6


@kernel
def is_winograd(y_shape, w_shape, stride, dilation, groups):
    """Return whether outputs and weight gradient take Winograd's products; with pooling in them, all three passes."""
    (taps_h, taps_w, c, k), (n, p, q, _) = w_shape, y_shape
    if taps_h != taps_w or taps_h not in (3, 5) or max(stride) > 1 or max(dilation) > 1 or groups > 1:
        return False
    least, light = (LEAST, LIGHT) if taps_h == 3 else (LEAST_OF_5, LIGHT_OF_5)
    few = products(tile_outputs(taps_h, y_shape), taps_h, y_shape) <= SHARE * taps_h * taps_w * p * q
    return few and min(c, k) >= least and c * k >= light and n * p * q >= SPARSE and n * p * q * c * k >= SHORT


@kernel
def is_winograd_back(x_shape, y_shape, w_shape, stride, dilation, groups):
    """Return whether the input gradient takes them too: without padding it has more tiles than the outputs."""
    taps, (_, p, q, _) = w_shape[0], y_shape
    few = products(tile_outputs(taps, x_shape), taps, x_shape) <= SHARE_BACK * taps * taps * p * q
    return few and is_winograd(y_shape, w_shape, stride, dilation, groups)


@kernel
def tile_outputs(taps, shape):
    """Return how many outputs a tile of floats has along an axis, for outputs (N, P, Q, ...)."""
    tile, large = (TILE, LARGE_TILE) if taps == 3 else (TILE_OF_5, LARGE_TILE_OF_5)
    return large if products(large, taps, shape) < FEWER * products(tile, taps, shape) else tile


@kernel
def products(outputs, taps, shape):
    """Return the products for an image of (N, P, Q, ...) outputs, of one input and one output channel."""
    down, across = tiles_of(outputs, shape)
    return down * across * (outputs + taps - 1) * (outputs + taps - 1)


@kernel
def tiles_of(outputs, shape):
    """Return how many tiles an image of (N, P, Q, ...) has down and across."""
    return (shape[1] + outputs - 1) // outputs, (shape[2] + outputs - 1) // outputs
