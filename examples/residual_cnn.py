"""A small residual network with batch normalisation, and what it confuses."""

import numpy as np

import fastnn as fn


def convolution(channels, stride=1):
    return [fn.Conv2D(None, channels, 3, stride, padding="same", bias=False), fn.BatchNorm()]


def block(channels):
    return [fn.Residual([*convolution(channels), fn.ReLU(), *convolution(channels)]), fn.ReLU()]


(x, y), (x_test, y_test) = fn.datasets.load_digits()
model = fn.Sequential(
    [
        *convolution(16), fn.ReLU(), *block(16),
        *convolution(32, stride=2), fn.ReLU(), *block(32),
        fn.GlobalAvgPool2D(), fn.Dense(None, 10),
    ],
    input_shape=x.shape[1:],
    seed=0,
)  # fmt: skip
model.compile(fn.AdamW(fn.schedules.OneCycle(0.01), weight_decay=0.01), fn.SoftmaxCrossEntropy(label_smoothing=0.1))
model.fit(x, y, epochs=12, batch_size=64)
print(f"accuracy {model.evaluate(x_test, y_test)[1]:.4f}")

counts = fn.metrics.confusion_matrix(model.predict(x_test), y_test, classes=10)
np.fill_diagonal(counts, 0)
for place in np.argsort(counts, axis=None)[::-1][:3]:
    truth, predicted = np.unravel_index(place, counts.shape)
    print(f"{truth} taken for {predicted}: {counts[truth, predicted]}")
