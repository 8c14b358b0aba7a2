"""onnxruntime: inference of a graph that is written from our weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fastnn._typing import Array
from fastnn.bench import inputs, nets
from fastnn.bench.nets import Net
from fastnn.bench.peers import chunk
from fastnn.bench.workloads import Work

_OPSET, _IR = 17, 8  # old enough for every onnxruntime of the last years
_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def model(net: Net, weights: list[Array]) -> bytes:
    """The network, with softmax at its end, as an ONNX file; images are (N, C, H, W)."""
    arrays = iter(inputs.channels_first(net, weights))
    nodes: list[Any] = []
    stored: list[Any] = []

    def store(array: Array) -> str:
        stored.append(numpy_helper.from_array(np.ascontiguousarray(array), f"w{len(stored)}"))
        return f"w{len(stored) - 1}"

    name = "x"
    for part in (*net.parts, None):
        operands: list[str] = [name]
        attributes: dict[str, Any] = {}
        if part is None:
            kind, attributes = "Softmax", {"axis": 1}
        elif isinstance(part, nets.Dense):
            kind, operands = "Gemm", [name, store(next(arrays)), store(next(arrays))]
        elif isinstance(part, nets.Conv):
            kind, attributes = "Conv", {"pads": [part.padding] * 4, "strides": [part.stride] * 2}
            operands.append(store(next(arrays).transpose(3, 2, 0, 1)))
            operands += [store(next(arrays))] if part.bias else []
        elif isinstance(part, nets.Pool):
            kind, attributes = "MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}
        elif isinstance(part, nets.Act):
            kind = _ACTIVATIONS[part.name]
        elif isinstance(part, nets.Flatten):
            kind = "Flatten"
        else:
            raise TypeError(f"onnxruntime: no work of inference has {type(part).__name__}")
        nodes.append(helper.make_node(kind, operands, [f"{name}{kind[0]}"], **attributes))
        name += kind[0]
    shape = ["n", *net.input_shape[-1:], *net.input_shape[:-1]]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", net.classes])],
        stored,
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    content: bytes = made.SerializeToString()
    return content


class Session:
    """A work of inference."""

    def __init__(self, work: Work, variant: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        graph = model(work.net, inputs.weights(work.net))
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        x, _ = inputs.data(work)
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x
        size = chunk(work, variant)
        self._x = [x[i : i + size] for i in range(0, len(x), size)]

    def losses(self, steps: int) -> list[float]:
        raise TypeError("onnxruntime: does not train")

    def outputs(self) -> list[list[float]]:
        return inputs.checked_rows(np.concatenate([self._predict(x) for x in self._x]))

    def run(self, passes: int) -> None:
        for _ in range(passes):
            for x in self._x:
                self._predict(x)

    def _predict(self, x: Array) -> Any:
        return self._session.run(None, {"x": x})[0]


def make(peer: str, work: Work, variant: str, threads: int) -> Session:
    """A side of onnxruntime."""
    return Session(work, variant, threads)
