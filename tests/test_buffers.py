"""Buffers: never overwrite what somebody holds, allocate nothing once a loop runs."""

import copy
import tracemalloc

import numpy as np
import pytest
from backends import BACKENDS

from fastnn.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Residual
from fastnn.layers._buffers import ALIGNMENT, Buffer, Scratch, aligned
from fastnn.losses import SoftmaxCrossEntropy
from fastnn.optimizers import Adam

F4, F8 = np.dtype(np.float32), np.dtype(np.float64)


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 4, 5), 7])
def test_alignment(shape):
    for dtype in (F4, F8):
        array = aligned(shape, dtype)
        assert address(array) % ALIGNMENT == 0
        assert array.dtype == dtype
        assert array.flags.carray
        assert array.shape == ((shape,) if isinstance(shape, int) else shape)


def test_memory_comes_back_when_nobody_holds_it():
    buffer = Buffer()
    first = address(buffer.take((3, 4), F4))
    assert address(buffer.take((3, 4), F4)) == first
    assert address(buffer.take((4, 3), F4)) == first
    assert address(buffer.take((2, 4), F4)) == first
    assert address(buffer.take((6,), F8)) == first


@pytest.mark.parametrize(
    "hold",
    [
        lambda a: a,
        lambda a: a[1:],
        lambda a: a.reshape(-1)[3:],
        lambda a: a.T,
        lambda a: a.view(np.uint8),
        memoryview,
        lambda a: np.asarray(memoryview(a)),
        lambda a: [{"deep": a}],
        lambda a: a[::2].flat,
    ],
)
def test_memory_stays_while_any_view_is_held(hold):
    buffer = Buffer()
    array = buffer.take((3, 4), F4)
    first = address(array)
    held = hold(array)
    del array
    assert address(buffer.take((3, 4), F4)) != first
    assert address(buffer.take((2, 2), F4)) != first
    del held
    one, other = buffer.take((3, 4), F4), buffer.take((3, 4), F4)
    assert first in (address(one), address(other))


def test_a_loop_settles_on_two_arrays_when_one_is_held():
    buffer = Buffer()
    held, seen = None, set()
    for _ in range(10):
        held = buffer.take((8, 8), F4)
        seen.add(address(held))
    assert len(seen) == 2


def test_it_grows_and_forgets():
    buffer = Buffer()
    held = [buffer.take((4, size), F4) for size in range(1, 20)]
    assert len({address(a) for a in held}) == len(held)
    assert len(buffer._slots) <= 4
    buffer.clear()
    assert buffer._slots == []


def test_too_small_memory_is_replaced_not_collected():
    buffer = Buffer()
    for size in range(1, 50):
        buffer.take((size, 100), F4)
    assert len(buffer._slots) == 1


def test_a_frozen_result_is_not_handed_out_again():
    buffer = Buffer()
    buffer.take((3,), F4).flags.writeable = False
    assert buffer.take((3,), F4).flags.writeable


def test_copies_share_nothing():
    buffer = Buffer()
    array = buffer.take((3,), F4)
    assert not np.shares_memory(copy.deepcopy(buffer).take((3,), F4), array)
    scratch = Scratch()
    assert not np.shares_memory(copy.deepcopy(scratch).take(3, F4), scratch.take(3, F4))


def test_scratch_grows_only():
    scratch = Scratch()
    assert scratch.take(0, F4).dtype == F4
    first = scratch.take(100, F4)
    assert scratch.take(50, F4) is first
    assert scratch.take(101, F4).size == 101
    assert scratch.take(10, F8).dtype == F8


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_training_loop_allocates_no_arrays_once_it_runs(backend, monkeypatch):
    """Counted at the one place where results get memory; a short last batch in every epoch."""
    common = {"backend": backend, "seed": 0}
    net = [
        Conv2D(None, 4, 3, padding="same", activation="gelu", **common),
        BatchNorm(**common),
        Residual([Conv2D(4, 4, 3, padding="same", **common), ReLU(**common)]),
        MaxPool2D(**common),
        Flatten(**common),
        Dropout(0.5, **common),
        Dense(None, 3, **common),
    ]
    loss, optimizer = SoftmaxCrossEntropy(backend=backend), Adam()
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 6, 6, 2), np.float32), rng.integers(0, 3, 20)

    def epoch():
        for rows in (slice(0, 8), slice(8, 16), slice(16, 20)):
            out = x[rows]
            for layer in net:
                out = layer.forward(out)
            loss.forward(out, y[rows])
            gradient = loss.backward()
            for layer in reversed(net):
                gradient = layer.backward(gradient)
            for layer in net:
                optimizer.update(layer)

    from fastnn.layers import _buffers

    epoch()
    epoch()
    allocations = []
    monkeypatch.setattr(_buffers, "_raw", lambda size: allocations.append(size) or np.empty(size + 64, np.uint8))
    epoch()
    epoch()
    assert allocations == []
    net[0].forward(rng.random((30, 6, 6, 2), np.float32))
    assert allocations  # the count can fail


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])
def test_a_dense_loop_keeps_its_memory_level(backend):
    """What tracemalloc sees: no array is made in a step. (The NumPy path makes temporaries.)"""
    layer = Dense(256, 256, activation="relu", backend=backend, seed=0)
    x = np.ones((64, 256), np.float32)
    for _ in range(3):
        layer.backward(layer.forward(x))
    tracemalloc.start()
    try:
        for _ in range(3):
            layer.backward(layer.forward(x))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 256 * 4
