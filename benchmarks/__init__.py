"""Benchmarks: every operation in the shapes of `shapes.py`, the numba backend beside the numpy backend.

`make bench` runs them all and prints a Markdown table; `pytest benchmarks --benchmark-disable` runs each once, in
little time. How a row is measured stands in `pairs.py`, how the peak of the machine in `fastnn/bench/peak.py`.
"""
