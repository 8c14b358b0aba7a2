"""A neural network from scratch in NumPy, as people write it to learn, and its training loop.

`train` uses the classes of the module it is given: this one, or fastnn in its place (test_dropin.py).
"""

import numpy as np


class Dense:
    def __init__(self, n_inputs, n_neurons, dtype="float32"):
        self.weights = (0.01 * np.random.default_rng(0).standard_normal((n_inputs, n_neurons))).astype(dtype)
        self.biases = np.zeros((1, n_neurons), dtype=dtype)

    def forward(self, inputs):
        self.inputs = inputs
        self.output = np.dot(inputs, self.weights) + self.biases
        return self.output

    def backward(self, dvalues):
        self.dweights = np.dot(self.inputs.T, dvalues)
        self.dbiases = np.sum(dvalues, axis=0, keepdims=True)
        self.dinputs = np.dot(dvalues, self.weights.T)
        return self.dinputs


class ReLU:
    def __init__(self, dtype="float32"):
        self.dtype = dtype

    def forward(self, inputs):
        self.inputs = inputs
        self.output = np.maximum(0, inputs)
        return self.output

    def backward(self, dvalues):
        self.dinputs = dvalues.copy()
        self.dinputs[self.inputs <= 0] = 0
        return self.dinputs


class SoftmaxCrossEntropy:
    def __init__(self, dtype="float32"):
        self.dtype = dtype

    def forward(self, inputs, y_true):
        exp_values = np.exp(inputs - np.max(inputs, axis=1, keepdims=True))
        self.output = exp_values / np.sum(exp_values, axis=1, keepdims=True)
        if y_true.ndim == 2:
            y_true = np.argmax(y_true, axis=1)
        confidences = self.output[range(len(inputs)), y_true]
        return np.mean(-np.log(confidences))

    def backward(self, y_true):
        if y_true.ndim == 2:
            y_true = np.argmax(y_true, axis=1)
        samples = len(y_true)
        self.dinputs = self.output.copy()
        self.dinputs[range(samples), y_true] -= 1
        self.dinputs = self.dinputs / samples
        return self.dinputs


class SGD:
    def __init__(self, learning_rate=1.0, momentum=0.0, decay=0.0):
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.decay = decay
        self.iterations = 0

    def current_rate(self):
        return self.learning_rate * (1.0 / (1.0 + self.decay * self.iterations))

    def update(self, layer):
        rate = self.current_rate()
        if not hasattr(layer, "weight_momentums"):
            layer.weight_momentums = np.zeros_like(layer.weights)
            layer.bias_momentums = np.zeros_like(layer.biases)
        layer.weight_momentums = self.momentum * layer.weight_momentums - rate * layer.dweights
        layer.bias_momentums = self.momentum * layer.bias_momentums - rate * layer.dbiases
        layer.weights += layer.weight_momentums
        layer.biases += layer.bias_momentums
        self.iterations += 1


class Accuracy:
    def calculate(self, y_pred, y_true):
        if y_true.ndim == 2:
            y_true = np.argmax(y_true, axis=1)
        if y_pred.ndim == 2:
            y_pred = np.argmax(y_pred, axis=1)
        return np.mean(y_pred == y_true)


def train(nn, X, y, dtype="float32", steps=200, batch_size=32, hidden=(48, 24), classes=10):
    """Train X.shape[1]-48-24-10 with the classes of nn; returns loss and accuracy of every step."""
    rng = np.random.default_rng(7)

    dense1 = nn.Dense(X.shape[1], hidden[0], dtype=dtype)
    activation1 = nn.ReLU(dtype=dtype)
    dense2 = nn.Dense(hidden[0], hidden[1], dtype=dtype)
    activation2 = nn.ReLU(dtype=dtype)
    dense3 = nn.Dense(hidden[1], classes, dtype=dtype)
    loss_activation = nn.SoftmaxCrossEntropy(dtype=dtype)
    optimizer = nn.SGD(learning_rate=0.05, momentum=0.9, decay=1e-3)
    accuracy = nn.Accuracy()

    for layer in (dense1, dense2, dense3):
        layer.weights = rng.standard_normal(layer.weights.shape).astype(dtype) * 0.1
        layer.biases = np.zeros((1, layer.weights.shape[1]), dtype=dtype)

    losses, accuracies = [], []
    for _ in range(steps):
        rows = rng.integers(0, len(X), batch_size)
        X_batch, y_batch = X[rows], y[rows]

        # Forward
        dense1.forward(X_batch)
        activation1.forward(dense1.output)
        dense2.forward(activation1.output)
        activation2.forward(dense2.output)
        dense3.forward(activation2.output)
        loss = loss_activation.forward(dense3.output, y_batch)
        losses.append(float(loss))
        accuracies.append(float(accuracy.calculate(loss_activation.output, y_batch)))

        # Backward
        loss_activation.backward(y_batch)
        dense3.backward(loss_activation.dinputs)
        activation2.backward(dense3.dinputs)
        dense2.backward(activation2.dinputs)
        activation1.backward(dense2.dinputs)
        dense1.backward(activation1.dinputs)

        # Update
        optimizer.update(dense1)
        optimizer.update(dense2)
        optimizer.update(dense3)

    return losses, accuracies
