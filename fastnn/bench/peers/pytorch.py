"""PyTorch, eager and compiled: functional calls, autograd, and its fused SGD."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

from fastnn._typing import Array
from fastnn.bench import inputs, nets
from fastnn.bench.nets import Net
from fastnn.bench.peers import Unavailable, chunk
from fastnn.bench.workloads import Work

Step = Callable[[Any], Any]
_ACTIVATIONS: dict[str, Step] = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


class Network:
    """A network's parameters in PyTorch's layouts, and its forward pass."""

    def __init__(self, net: Net, weights: list[Array], channels_last: bool) -> None:
        self.channels_last = channels_last
        self.parameters: list[Any] = []
        # Images that lie as (N, H, W, C) are flattened in that order without a copy, and the weights keep it too.
        self._arrays = iter(weights if channels_last else inputs.channels_first(net, weights))
        self._steps = self._make(net.parts, net.input_shape)

    def forward(self, x: Any) -> Any:
        """The logits."""
        for step in self._steps:
            x = step(x)
        return x

    def images(self, x: Array) -> Any:
        """Samples as this network takes them."""
        tensor = torch.from_numpy(x)
        if x.ndim != 4:
            return tensor
        tensor = tensor.permute(0, 3, 1, 2)
        return tensor if self.channels_last else tensor.contiguous()

    def _make(self, parts: tuple[nets.Part, ...], shape: nets.Shape) -> list[Step]:
        steps = []
        for part in parts:
            steps.append(self._step(part, shape))
            shape = nets.after(part, shape)
        return steps

    def _parameter(self, *order: int) -> Any:
        tensor = torch.from_numpy(next(self._arrays))
        tensor = tensor.permute(order) if order else tensor
        last = len(order) == 4 and self.channels_last
        layout = torch.channels_last if last else torch.contiguous_format
        self.parameters.append(tensor.clone(memory_format=layout).requires_grad_())
        return self.parameters[-1]

    def _step(self, part: nets.Part, shape: nets.Shape) -> Step:
        if isinstance(part, nets.Dense):
            w, b = self._parameter(1, 0), self._parameter()
            return lambda x: functional.linear(x, w, b)
        if isinstance(part, nets.Conv):
            conv, kernel = part, self._parameter(3, 2, 0, 1)
            bias = self._parameter() if part.bias else None
            return lambda x: functional.conv2d(x, kernel, bias, conv.stride, conv.padding)
        if isinstance(part, nets.Norm):
            gamma, beta = self._parameter(), self._parameter()
            mean, var = torch.zeros(shape[-1]), torch.ones(shape[-1])
            return lambda x: functional.batch_norm(x, mean, var, gamma, beta, True, 0.1, inputs.NORM_EPS)
        if isinstance(part, nets.Residual):
            inner = self._make(part.parts, shape)
            return lambda x: x + _chain(inner, x)
        if isinstance(part, nets.Act):
            return _ACTIVATIONS[part.name]
        if isinstance(part, nets.Pool):
            return lambda x: functional.max_pool2d(x, 2)
        if isinstance(part, nets.GlobalPool):
            return lambda x: x.mean((2, 3))
        return (lambda x: x.permute(0, 2, 3, 1).flatten(1)) if self.channels_last else lambda x: x.flatten(1)


def _chain(steps: list[Step], x: Any) -> Any:
    for step in steps:
        x = step(x)
    return x


class Torch:
    """A work in one of PyTorch's variants."""

    def __init__(self, work: Work, variant: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._work, self._chunk, self._compiled = work, chunk(work, variant), variant.startswith("compiled")
        self._net = Network(work.net, inputs.weights(work.net), "channels_last" in variant)
        self._optimizer = torch.optim.SGD(self._net.parameters, lr=inputs.RATE, momentum=inputs.MOMENTUM, fused=True)
        x, y = inputs.data(work)
        self._x, self._y = self._net.images(x), torch.from_numpy(y)
        self._loss: Callable[[Any, Any], Any] = self._eager_loss
        if self._compiled:
            torch._dynamo.reset()  # every network is the same Python code: what was compiled for others counts
            self._loss = torch.compile(self._eager_loss)

    def _eager_loss(self, x: Any, y: Any) -> Any:
        return functional.cross_entropy(self._net.forward(x), y)

    def losses(self, steps: int) -> list[float]:
        self._rate(inputs.check_rate(self._work.net))
        x, y = next(self._batches())
        try:
            losses = [float(self._step(x, y)) for _ in range(steps)]
        except Exception as error:
            if self._compiled:  # whatever it is: a compiler that is missing, too old, or meets a bug
                raise Unavailable(f"torch.compile does not work here ({type(error).__name__})") from error
            raise
        self._rate(inputs.RATE)
        return losses

    def outputs(self) -> list[list[float]]:
        return inputs.checked_rows(torch.cat(list(self._predict())))

    def run(self, passes: int) -> None:
        for _ in range(passes):
            if self._work.kind == "predict":
                for _ in self._predict():
                    pass
            else:
                for x, y in self._batches():
                    self._step(x, y)

    def _step(self, x: Any, y: Any) -> Any:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(x, y)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def _predict(self) -> Iterator[Any]:
        with torch.inference_mode():
            for x in self._x.split(self._chunk):
                yield self._net.forward(x).softmax(1)

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        return zip(self._x.split(self._work.batch), self._y.split(self._work.batch), strict=True)

    def _rate(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate


def make(peer: str, work: Work, variant: str, threads: int) -> Torch:
    """A side of PyTorch, eager or compiled."""
    return Torch(work, variant, threads)
