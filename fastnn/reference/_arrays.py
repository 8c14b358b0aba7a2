"""The array types of this folder, and how a window's tap maps outputs onto inputs."""

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[int, int]


def tap_slices(outputs: int, inputs: int, stride: int, start: int) -> tuple[slice, slice]:
    """Along one axis, the outputs p whose tap `p * stride + start` lies inside the image, and those pixels.

    `start` is the tap's place in the window minus the padding. Both slices have the same length, maybe 0.
    """
    first = max(0, -(start // stride))
    last = min(outputs - 1, (inputs - 1 - start) // stride)
    count = max(0, last - first + 1)
    begin = first * stride + start
    return slice(first, first + count), slice(begin, begin + count * stride, stride) if count else slice(0, 0)
