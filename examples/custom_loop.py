"""A training loop of one's own: a schedule, validation, and the best weights at the end."""

import numpy as np

import fastnn as fn


class Triangle(fn.schedules.Schedule):
    """Up and down between two rates, `period` steps each way."""

    def __init__(self, low, high, period):
        self.low, self.high, self.period = low, high, period

    def rate(self, step):
        phase = abs(step / self.period % 2 - 1)  # 1 at the bottom, 0 at the top
        return self.high + (self.low - self.high) * phase


(x, y), (x_test, y_test) = fn.datasets.load_digits()
x, y, x_val, y_val = x[:1350], y[:1350], x[1350:], y[1350:]

model = fn.Sequential([fn.Flatten(), fn.Dense(None, 64), fn.ReLU(), fn.Dense(None, 10)], x.shape[1:], seed=0)
model.compile(fn.SGD(Triangle(0.02, 0.2, period=100), momentum=0.9, clip_global_norm=5))
rng = np.random.default_rng(0)
best, best_weights = 0.0, {}
for epoch in range(15):
    for rows in np.array_split(rng.permutation(len(x)), 42):
        model.train_batch(x[rows], y[rows])
    loss, accuracy = model.evaluate(x_val, y_val)
    print(f"epoch {epoch + 1}: rate {model.optimizer.current_learning_rate:.3f}, loss {loss:.4f}")
    if accuracy > best:
        best, best_weights = accuracy, {name: a.copy() for name, a in model.weights().items()}
model.set_weights(best_weights)
print(f"accuracy {model.evaluate(x_test, y_test)[1]:.4f}")
