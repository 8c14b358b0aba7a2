"""Arrays that end, or begin, at a page which may not be touched: a stray read or write kills the process."""

import ctypes
import mmap

import numpy as np

_PROTECT_NONE = 0


def guarded_end(array: np.ndarray) -> np.ndarray:
    """A C-contiguous copy whose last byte is the last before a protected page."""
    return _guarded(array, at_end=True)


def guarded_start(array: np.ndarray) -> np.ndarray:
    """A C-contiguous copy whose first byte is the first after a protected page."""
    return _guarded(array, at_end=False)


def _guarded(array: np.ndarray, at_end: bool) -> np.ndarray:
    page = mmap.PAGESIZE
    room = max(page, -(-array.nbytes // page) * page)
    memory = mmap.mmap(-1, room + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    memory[page : page + room] = b"\xff" * room  # NaN in every float type
    for guard in (address, address + page + room):
        if ctypes.CDLL(None, use_errno=True).mprotect(
            ctypes.c_void_p(guard), ctypes.c_size_t(page), _PROTECT_NONE
        ):
            raise OSError(ctypes.get_errno(), "mprotect failed")
    offset = page + (room - array.nbytes if at_end else 0)
    copy = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
    copy[...] = array
    return copy
