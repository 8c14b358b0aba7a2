"""The programs of the rows that are whole processes: `python -m fastnn.bench.programs NAME LIBRARY THREADS [...]`.

NAME: mnist-99 (with the folder of the data and a seed), first-step, memory. LIBRARY: fastnn, or a variant of PyTorch.
A program writes its result as one line of JSON; who started it has looked at the clock before.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ACCURACY = 0.99
# One-cycle Adam with label smoothing, one epoch: 99.03-99.23 % with ten seeds
EPOCHS, PEAK_RATE, BETAS, SMOOTHING, BATCH = 1, 0.008, (0.7, 0.9), 0.05, 64
MEMORY_PASSES = 2


def fastnn_accuracy(threads: int, data: str, seed: int) -> list[float]:
    """Train the MNIST network with fastnn; the test accuracy after each epoch."""
    import fastnn as fn
    from fastnn.bench import inputs, nets
    from fastnn.bench.peers.own import build

    fn.set_num_threads(threads)
    (x, y), test = fn.datasets.load("mnist", data)
    model = build(nets.MNIST_CNN, inputs.weights(nets.MNIST_CNN, seed), "numba")
    model.compile(
        fn.Adam(fn.schedules.OneCycle(PEAK_RATE), betas=BETAS), fn.SoftmaxCrossEntropy(label_smoothing=SMOOTHING)
    )
    history = model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, validation_data=test, seed=seed, verbose=False)
    return history.val_accuracy


def pytorch_accuracy(variant: str, threads: int, data: str, seed: int) -> list[float]:
    """The same with PyTorch."""
    import torch
    from torch.nn import functional

    from fastnn import datasets
    from fastnn.bench import inputs, nets
    from fastnn.bench.peers.pytorch import Network

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    train, test = datasets.load("mnist", data)
    net = Network(nets.MNIST_CNN, inputs.weights(nets.MNIST_CNN, seed), variant == "channels_last")
    (x, y), (x_test, y_test) = ((net.images(images), torch.from_numpy(labels)) for images, labels in (train, test))
    steps = -(-len(x) // BATCH)
    optimizer = torch.optim.Adam(net.parameters, betas=BETAS, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, EPOCHS * steps, cycle_momentum=False)
    accuracies: list[float] = []
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(net.forward(x[rows]), y[rows], label_smoothing=SMOOTHING).backward()
            optimizer.step()
            cycle.step()
        with torch.inference_mode():
            right = sum(
                int((net.forward(images).argmax(1) == labels).sum())
                for images, labels in zip(x_test.split(256), y_test.split(256), strict=True)
            )
        accuracies.append(right / len(x_test))
    return accuracies


def train(library: str, threads: int, work_id: str, passes: int) -> None:
    """Steps on the data of a work."""
    from fastnn.bench.workloads import BY_ID

    work = BY_ID[work_id]
    if library == "fastnn":
        from fastnn.bench.peers import own

        own.make("fastnn", work, "", threads).run(passes)
    else:
        from fastnn.bench.peers import pytorch

        pytorch.make("pytorch", work, library, threads).run(passes)


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def run(name: str, library: str, threads: int, *arguments: str) -> dict[str, Any]:
    """What a program finds."""
    if name == "mnist-99":
        data, seed = arguments[0], int(arguments[1])
        if library == "fastnn":
            return {"accuracies": fastnn_accuracy(threads, data, seed)}
        return {"accuracies": pytorch_accuracy(library, threads, data, seed)}
    if name == "first-step":
        train(library, threads, "first-step-warm", 1)
        return {}
    train(library, threads, "memory", MEMORY_PASSES)
    return {"bytes": peak_memory()}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])), flush=True)
