"""Every operation exists twice, compiled and in plain NumPy: the results agree, the times do not."""

import time

import numpy as np

import fastnn as fn

(x, y), (x_test, y_test) = fn.datasets.load_digits()


def network(backend):
    layers = [
        fn.Conv2D(1, 16, 3, padding="same"), fn.ReLU(),
        fn.Conv2D(16, 32, 3, padding="same"), fn.ReLU(), fn.MaxPool2D(2),
        fn.Flatten(), fn.Dense(None, 10),
    ]  # fmt: skip
    return fn.Sequential(layers, x.shape[1:], backend=backend, seed=0)


models = {backend: network(backend) for backend in ("numba", "numpy")}
outputs = [model.predict_outputs(x_test) for model in models.values()]
print(f"largest difference before training: {np.abs(outputs[0] - outputs[1]).max():.1e}")

for backend, model in models.items():
    model.compile(fn.SGD(0.05, momentum=0.9), fn.SoftmaxCrossEntropy())
    model.fit(x, y, epochs=1, verbose=False)  # the first epoch loads the kernels
    start = time.perf_counter()
    history = model.fit(x, y, epochs=4, verbose=False)
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(x_test, y_test)
    print(f"{backend}: {seconds:.2f} s, loss {history.loss[-1]:.4f}, accuracy {accuracy:.4f}")
