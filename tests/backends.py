"""The backends that tests run on."""

BACKENDS = ["numpy", "numba"]
