"""fastnn's layers in a training loop written by hand, as in a from-scratch NumPy script."""

import numpy as np

from fastnn import SGD, Accuracy, Dense, ReLU, SoftmaxCrossEntropy
from fastnn.datasets import load_digits

(X, y), (X_test, y_test) = load_digits()
X, X_test = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)  # 8x8 pixels as rows of 64

dense1, relu1 = Dense(64, 48, seed=1), ReLU()
dense2 = Dense(48, 10, seed=2)
loss_function = SoftmaxCrossEntropy()
optimizer = SGD(learning_rate=0.1, momentum=0.9, decay=1e-3)
rng = np.random.default_rng(0)


def forward(x):
    return dense2.forward(relu1.forward(dense1.forward(x)))


for epoch in range(10):
    order = rng.permutation(len(X))
    losses = []
    for first in range(0, len(X), 32):
        rows = order[first : first + 32]
        losses.append(loss_function.forward(forward(X[rows]), y[rows]))
        gradient = loss_function.backward()
        dense1.backward(relu1.backward(dense2.backward(gradient)))
        optimizer.update(dense1)
        optimizer.update(dense2)
    print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")

print(f"accuracy {Accuracy().calculate(forward(X_test), y_test):.4f}")
