"""Every operation as obvious loops: the oracle of both backends.

Same names and signatures as `fastnn.reference` and `fastnn.kernels`, one function per operation, for small
float64 arrays: nothing here is clever, fast or stable beyond what the formulas need. Loops run over samples,
pixels and taps; only sums over channels are written as products of small arrays.
"""

import itertools
import math

import numpy as np

INVERSE_ROOT_2PI = 1 / math.sqrt(2 * math.pi)


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _gelu_tanh_inner(x):
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def _gelu_tanh_slope(x):
    s = sigmoid(2 * _gelu_tanh_inner(x))
    return s + x * s * (1 - s) * 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)


# By activation code: f(x, alpha), then the slope from (x, alpha) or, where `from_output`, from (y, alpha).
FUNCTIONS = {
    0: lambda x, alpha: x,
    1: lambda x, alpha: 0.0 if x <= 0 else x,
    2: lambda x, alpha: x if x > 0 else alpha * x,
    3: lambda x, alpha: x if x > 0 else alpha * math.expm1(x),
    4: lambda x, alpha: x * math.erfc(-x / math.sqrt(2)) / 2,
    5: lambda x, alpha: x * sigmoid(2 * _gelu_tanh_inner(x)),
    6: lambda x, alpha: x * sigmoid(x),
    7: lambda x, alpha: (x if x > 0 else 0.0) + math.log1p(math.exp(-abs(x))),
    8: lambda x, alpha: sigmoid(x),
    9: lambda x, alpha: math.tanh(x),
}
SLOPES = {
    0: lambda x, alpha: 1.0,
    1: lambda y, alpha: 1.0 if y > 0 else 0.0,
    2: lambda y, alpha: 1.0 if y > 0 else alpha,
    3: lambda y, alpha: 1.0 if y > 0 else y + alpha,
    4: lambda x, alpha: (
        math.erfc(-x / math.sqrt(2)) / 2 + x * math.exp(-(min(abs(x), 1e3) ** 2) / 2) * INVERSE_ROOT_2PI
    ),
    5: lambda x, alpha: _gelu_tanh_slope(x),
    6: lambda x, alpha: sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x)),
    7: lambda x, alpha: sigmoid(x),
    8: lambda y, alpha: y * (1 - y),
    9: lambda y, alpha: 1 - y * y,
}
SLOPE_FROM_INPUT = {4, 5, 6, 7}


def activation_forward(activation, alpha, x, y):
    for i in range(x.size):
        y[i] = FUNCTIONS[activation](float(x[i]), alpha)


def activation_backward(activation, alpha, x, y, dy, dx):
    source = x if activation in SLOPE_FROM_INPUT else y
    for i in range(dy.size):
        slope = 1.0 if activation == 0 else SLOPES[activation](float(source[i]), alpha)
        dx[i] = dy[i] * slope


def softmax_forward(x, y):
    for n in range(len(x)):
        exponentials = [math.exp(value - max(x[n])) for value in x[n]]
        for c in range(x.shape[1]):
            y[n, c] = exponentials[c] / sum(exponentials)


def softmax_backward(y, dy, dx):
    for n, c, other in itertools.product(range(len(y)), range(y.shape[1]), range(y.shape[1])):
        if other == 0:
            dx[n, c] = 0
        dx[n, c] += dy[n, other] * y[n, other] * ((other == c) - y[n, c])


def log_softmax_forward(x, y):
    for n in range(len(x)):
        log_sum = math.log(sum(math.exp(value - max(x[n])) for value in x[n]))
        for c in range(x.shape[1]):
            y[n, c] = x[n, c] - max(x[n]) - log_sum


def log_softmax_backward(y, dy, dx):
    for n, c, other in itertools.product(range(len(y)), range(y.shape[1]), range(y.shape[1])):
        if other == 0:
            dx[n, c] = 0
        dx[n, c] += dy[n, other] * ((other == c) - math.exp(y[n, c]))


def _uniform(key, i):
    mask = 2**64 - 1
    z = (key + (i + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return (z >> 40) / 2**24


def clip_forward(low, high, x, y):
    for i in range(x.size):
        y[i] = low if x[i] < low else high if x[i] > high else x[i]


def clip_backward(low, high, y, dy, dx):
    for i in range(y.size):
        dx[i] = 0.0 if y[i] <= low or y[i] >= high else dy[i]


def dropout_forward(rate, key, x, y):
    for i in range(x.size):
        y[i] = x[i] / (1 - rate) if _uniform(key, i) >= rate else 0.0


def dropout_backward(rate, key, dy, dx):
    for i in range(dy.size):
        dx[i] = dy[i] / (1 - rate) if _uniform(key, i) >= rate else 0.0


def dense_scratch_size(n, c, k):
    return 0


def dense_forward(x, w, b, activation, alpha, scratch, y):
    for n, k in itertools.product(*map(range, y.shape)):
        z = sum(x[n] * w[:, k]) + (b[k] if b.size else 0.0)
        y[n, k] = FUNCTIONS[activation](float(z), alpha)


def dense_weight_gradient(x, dz, scratch, dw, db):
    for c, k in itertools.product(*map(range, dw.shape)):
        dw[c, k] = sum(x[:, c] * dz[:, k])
    for k in range(db.size):
        db[k] = sum(dz[:, k])


def dense_input_gradient(dz, w, relu, scratch, dx):
    for n, c in itertools.product(*map(range, dx.shape)):
        dx[n, c] = 0 if relu.size and relu[n, c] <= 0 else sum(dz[n] * w[c])


def _taps(x, y, size, stride, padding, dilation=(1, 1)):
    """Every output pixel with every tap of its window and the input pixel there: n, p, q, r, s, i, j."""
    n_h_w, p_q = x.shape[:3], y.shape[1:3]
    for n, p, q, r, s in itertools.product(*map(range, (n_h_w[0], *p_q, *size))):
        i = p * stride[0] + r * dilation[0] - padding[0]
        j = q * stride[1] + s * dilation[1] - padding[1]
        if 0 <= i < n_h_w[1] and 0 <= j < n_h_w[2]:
            yield n, p, q, r, s, i, j


def _channels(x, y, groups):
    """The input and the output channels of each group."""
    c, k = x.shape[3] // groups, y.shape[3] // groups
    return [(slice(g * c, (g + 1) * c), slice(g * k, (g + 1) * k)) for g in range(groups)]


def conv2d_scratch_size(x_shape, w_shape, y_shape, stride, padding, dilation, groups):
    return 0


def conv2d_forward(x, w, b, stride, padding, dilation, groups, activation, alpha, scratch, y):
    y[:] = b if b.size else 0
    for n, p, q, r, s, i, j in _taps(x, y, w.shape[:2], stride, padding, dilation):
        for inputs, outputs in _channels(x, y, groups):
            y[n, p, q, outputs] += x[n, i, j, inputs] @ w[r, s, :, outputs]
    activation_forward(activation, alpha, y.reshape(-1), y.reshape(-1))


def conv2d_weight_gradient(x, dz, stride, padding, dilation, groups, scratch, dw, db):
    dw[:] = 0
    for n, p, q, r, s, i, j in _taps(x, dz, dw.shape[:2], stride, padding, dilation):
        for inputs, outputs in _channels(x, dz, groups):
            dw[r, s, :, outputs] += x[n, i, j, inputs, None] * dz[n, p, q, None, outputs]
    for k in range(db.size):
        db[k] = sum(dz[..., k].flat)


def conv2d_input_gradient(dz, w, stride, padding, dilation, groups, scratch, dx):
    dx[:] = 0
    for n, p, q, r, s, i, j in _taps(dx, dz, w.shape[:2], stride, padding, dilation):
        for inputs, outputs in _channels(dx, dz, groups):
            dx[n, i, j, inputs] += w[r, s, :, outputs] @ dz[n, p, q, outputs]


def max_pool2d_forward(x, size, stride, padding, index, y):
    y[:] = -np.inf
    seen = np.zeros(y.shape, bool)
    for n, p, q, r, s, i, j in _taps(x, y, size, stride, padding):
        for c in range(x.shape[3]):
            value, best = x[n, i, j, c], y[n, p, q, c]
            if not seen[n, p, q, c] or value > best or (value != value and best == best):
                seen[n, p, q, c] = True
                y[n, p, q, c] = value
                if index.size:
                    index[n, p, q, c] = r * size[1] + s


def max_pool2d_backward(index, dy, size, stride, padding, dx):
    dx[:] = 0
    for n, p, q, r, s, i, j in _taps(dx, dy, size, stride, padding):
        for c in range(dx.shape[3]):
            if index[n, p, q, c] == r * size[1] + s:
                dx[n, i, j, c] += dy[n, p, q, c]


def conv2d_pool_scratch_size(x_shape, w_shape, y_shape, itemsize, inner):
    return 0


def conv2d_pool_forward(x, w, b, padding, rectify, scratch, index, y):
    n, p, q, k = y.shape
    outputs = np.empty((n, 2 * p, 2 * q, k))
    conv2d_forward(x, w, b, (1, 1), padding, (1, 1), 1, 0, 0, None, outputs)
    max_pool2d_forward(outputs, (2, 2), (2, 2), (0, 0), index, y)
    if rectify:
        index[y <= 0] = 2**16 - 1
        y[y <= 0] = 0


def has_conv2d_pool_inference(x_shape, w_shape, y_shape, itemsize):
    return True


def conv2d_pool_inference(x, w, b, padding, rectify, y):
    conv2d_pool_forward(x, w, b, padding, rectify, None, np.empty(y.shape, np.uint16), y)


def conv2d_pool_weight_gradient(x, index, dy, padding, scratch, dw, db):
    conv2d_weight_gradient(x, _pooled_outputs_gradient(index, dy), (1, 1), padding, (1, 1), 1, None, dw, db)


def conv2d_pool_input_gradient(index, dy, w, padding, scratch, dx):
    conv2d_input_gradient(_pooled_outputs_gradient(index, dy), w, (1, 1), padding, (1, 1), 1, None, dx)


def _pooled_outputs_gradient(index, dy):
    n, p, q, k = dy.shape
    dz = np.zeros((n, 2 * p, 2 * q, k))
    for at in np.ndindex(dy.shape):
        place = int(index[at])
        if place < 4:
            dz[at[0], 2 * at[1] + place // 2, 2 * at[2] + place % 2, at[3]] = dy[at]
    return dz


def _pool_count(p, q, size, stride, padding, image, count_include_pad):
    """How many places of window (p, q) lie inside the image, or inside the image with its padding."""
    top, left = padding if count_include_pad else (0, 0)
    count = 0
    for r, s in itertools.product(*map(range, size)):
        i, j = p * stride[0] + r - padding[0], q * stride[1] + s - padding[1]
        count += -top <= i < image[0] + top and -left <= j < image[1] + left
    return count


def avg_pool2d_forward(x, size, stride, padding, count_include_pad, y):
    y[:] = 0
    for n, p, q, _r, _s, i, j in _taps(x, y, size, stride, padding):
        y[n, p, q] += x[n, i, j] / _pool_count(p, q, size, stride, padding, x.shape[1:3], count_include_pad)


def avg_pool2d_backward(dy, size, stride, padding, count_include_pad, dx):
    dx[:] = 0
    for n, p, q, _r, _s, i, j in _taps(dx, dy, size, stride, padding):
        dx[n, i, j] += dy[n, p, q] / _pool_count(p, q, size, stride, padding, dx.shape[1:3], count_include_pad)


def global_avg_pool2d_forward(x, y):
    for n, c in itertools.product(*map(range, y.shape)):
        y[n, c] = sum(x[n, :, :, c].flat) / (x.shape[1] * x.shape[2])


def global_avg_pool2d_backward(dy, dx):
    for n, i, j, c in itertools.product(*map(range, dx.shape)):
        dx[n, i, j, c] = dy[n, c] / (dx.shape[1] * dx.shape[2])


def batch_norm_scratch_size(m, c):
    return 0


def batch_norm_forward(x, gamma, beta, eps, skip, rectify, scratch, mean, var, y):
    for c in range(x.shape[1]):
        mean[c] = sum(x[:, c]) / len(x)
        var[c] = sum((x[:, c] - mean[c]) ** 2) / len(x)
    batch_norm_inference(x, gamma, beta, mean, var, eps, skip, rectify, y)


def batch_norm_backward(x, gamma, beta, mean, var, eps, rectify, dy, scratch, dx, dgamma, dbeta):
    batch_norm_inference_backward(x, gamma, beta, mean, var, eps, rectify, dy, scratch, dx, dgamma, dbeta)
    for m, c in itertools.product(*map(range, x.shape)):
        deviation = math.sqrt(var[c] + eps)
        xhat = (x[m, c] - mean[c]) / deviation
        dx[m, c] -= gamma[c] / deviation * (dbeta[c] + xhat * dgamma[c]) / len(x)


def batch_norm_inference(x, gamma, beta, mean, var, eps, skip, rectify, y):
    for m, c in itertools.product(*map(range, x.shape)):
        y[m, c] = gamma[c] * (x[m, c] - mean[c]) / math.sqrt(var[c] + eps) + beta[c]
        if skip.size:
            y[m, c] += skip[m, c]
        if rectify:
            y[m, c] = max(y[m, c], 0)


def batch_norm_inference_backward(x, gamma, beta, mean, var, eps, rectify, dy, scratch, dx, dgamma, dbeta):
    dgamma[:] = dbeta[:] = 0
    for m, c in itertools.product(*map(range, x.shape)):
        deviation = math.sqrt(var[c] + eps)
        xhat = (x[m, c] - mean[c]) / deviation
        passed = 0 if rectify and gamma[c] * xhat + beta[c] <= 0 else dy[m, c]
        dx[m, c] = passed * gamma[c] / deviation
        dgamma[c] += passed * xhat
        dbeta[c] += passed


def softmax_cross_entropy_forward(logits, labels, class_weights, label_smoothing, probabilities, losses):
    classes = logits.shape[1]
    log_p = np.empty_like(probabilities)
    softmax_forward(logits, probabilities)
    log_softmax_forward(logits, log_p)
    for n, label in enumerate(labels):
        weights = class_weights if class_weights.size else np.ones(classes)
        own = -weights[label] * log_p[n, label]
        spread = sum(-weights[c] * log_p[n, c] for c in range(classes)) / classes
        losses[n] = (1 - label_smoothing) * own + label_smoothing * spread


def softmax_cross_entropy_backward(probabilities, labels, class_weights, label_smoothing, scale, dlogits):
    classes = probabilities.shape[1]
    weights = class_weights if class_weights.size else np.ones(classes)
    for n, c in itertools.product(*map(range, dlogits.shape)):
        dlogits[n, c] = 0
        for target in range(classes):  # the gradient of -log p[target] is p - one hot, times the target's share
            share = (target == labels[n]) * (1 - label_smoothing) + label_smoothing / classes
            dlogits[n, c] += scale * share * weights[target] * (probabilities[n, c] - (c == target))


def _soft(targets, class_weights, label_smoothing):
    soft = np.empty_like(targets)
    for n, c in itertools.product(*map(range, targets.shape)):
        soft[n, c] = (1 - label_smoothing) * targets[n, c] + label_smoothing / targets.shape[1]
        soft[n, c] *= class_weights[c] if class_weights.size else 1
    return soft


def soft_cross_entropy_forward(logits, targets, class_weights, label_smoothing, probabilities, losses):
    log_p = np.empty_like(probabilities)
    softmax_forward(logits, probabilities)
    log_softmax_forward(logits, log_p)
    soft = _soft(targets, class_weights, label_smoothing)
    for n in range(len(logits)):
        losses[n] = sum(-soft[n, c] * log_p[n, c] for c in range(logits.shape[1]))


def soft_cross_entropy_backward(probabilities, targets, class_weights, label_smoothing, scale, dlogits):
    soft = _soft(targets, class_weights, label_smoothing)
    for n, c in itertools.product(*map(range, dlogits.shape)):
        dlogits[n, c] = scale * (probabilities[n, c] * sum(soft[n]) - soft[n, c])


def binary_cross_entropy_forward(logits, targets, losses):
    for i, (z, t) in enumerate(zip(logits, targets, strict=True)):
        losses[i] = max(z, 0.0) - z * t + math.log1p(math.exp(-abs(z)))


def binary_cross_entropy_backward(logits, targets, scale, dlogits):
    for i, (z, t) in enumerate(zip(logits, targets, strict=True)):
        dlogits[i] = scale * (sigmoid(z) - t)


def mean_squared_error_forward(predictions, targets, losses):
    for i in range(losses.size):
        losses[i] = (predictions[i] - targets[i]) ** 2


def mean_squared_error_backward(predictions, targets, scale, dpredictions):
    for i in range(dpredictions.size):
        dpredictions[i] = scale * 2 * (predictions[i] - targets[i])


def sgd_update(dw, learning_rate, momentum, nesterov, weight_decay, v, w):
    for i in range(w.size):
        g = dw[i] + weight_decay * w[i]
        velocity = momentum * (v[i] if v.size else 0.0) - learning_rate * g
        if v.size:
            v[i] = velocity
        w[i] += momentum * velocity - learning_rate * g if nesterov else velocity


def rmsprop_update(dw, learning_rate, rho, eps, momentum, s, v, w):
    for i in range(w.size):
        s[i] = rho * s[i] + (1 - rho) * dw[i] ** 2
        velocity = momentum * (v[i] if v.size else 0.0) + learning_rate * dw[i] / (math.sqrt(s[i]) + eps)
        if v.size:
            v[i] = velocity
        w[i] -= velocity


def adam_update(dw, learning_rate, beta1, beta2, eps, weight_decay, decoupled, step, m, s, w):
    for i in range(w.size):
        g = dw[i] if decoupled else dw[i] + weight_decay * w[i]
        m[i] = beta1 * m[i] + (1 - beta1) * g
        s[i] = beta2 * s[i] + (1 - beta2) * g**2
        m_hat, s_hat = m[i] / (1 - beta1**step), s[i] / (1 - beta2**step)
        if decoupled:
            w[i] -= learning_rate * weight_decay * w[i]
        w[i] -= learning_rate * m_hat / (math.sqrt(s_hat) + eps)


def accumulate_gradients(weight, first, total, g):
    for i in range(g.size):
        g[i] = weight * g[i] + (0.0 if first else total[i])
        total[i] = g[i]


def clip_by_value(limit, g):
    for i in range(g.size):
        if abs(g[i]) > limit:
            g[i] = math.copysign(limit, g[i])


def sum_of_squares(g, out):
    out[0] = sum(value * value for value in g.tolist())


def clip_by_norm(limit, squares, g):
    if squares[0] > limit * limit:
        for i in range(g.size):
            g[i] *= limit / math.sqrt(squares[0])


def gather(source, rows, batch):
    for i in range(rows.size):
        for c in range(batch.shape[1]):
            batch[i, c] = source[rows[i], c]


def residual_add(a, b, y):
    for i in range(y.size):
        y[i] = a[i] + b[i]


def total_loss(losses, total):
    total[0] = math.fsum(losses.tolist())


def _first_largest(row):
    return row.tolist().index(max(row.tolist()))


def class_accuracy(outputs, labels, accuracy):
    right = [_first_largest(row) == label for row, label in zip(outputs, labels, strict=True)]
    accuracy[0] = sum(right) / len(right)


def one_hot_accuracy(outputs, targets, accuracy):
    right = [_first_largest(row) == _first_largest(target) for row, target in zip(outputs, targets, strict=True)]
    accuracy[0] = sum(right) / len(right)


def sign_accuracy(outputs, targets, accuracy):
    right = [(output >= 0) == (target >= 0.5) for output, target in zip(outputs, targets, strict=True)]
    accuracy[0] = sum(right) / len(right)


def batch_norm_follow(m, momentum, mean, var, running_mean, running_var):
    for j in range(mean.size):
        running_mean[j] = (1 - momentum) * running_mean[j] + momentum * mean[j]
        running_var[j] = (1 - momentum) * running_var[j] + momentum * var[j] * m / (m - 1)


def _splitmix(z):
    mask = 2**64 - 1
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def _random(key, row, number):
    mask, step = 2**64 - 1, 0x9E3779B97F4A7C15
    stream = _splitmix((key + (int(row) + 1) * step) & mask)
    return (_splitmix((stream + (number + 1) * step) & mask) >> 11) / 2**53


def random_affine(rows, key, shift, crop, resize, rotate, scale, shear, flip, size, maps):
    """The changes as matrices, one after the other, from the changed image's pixels back to the image's."""

    def matrix(*rows):
        return np.array([*rows, (0, 0, 1)], float)

    middle = [(size[0] - 1) / 2, (size[1] - 1) / 2]
    for n, row in enumerate(rows):
        u = [_random(key, row, number) for number in range(10)]
        side = 1 - resize * u[4]
        start, moved = [0, 0], [0, 0]
        for axis in range(2):
            if resize:
                room = size[axis] + 2 * crop - side * size[axis]
                start[axis] = -crop + u[2 + axis] * room + side / 2 - 0.5
            else:
                start[axis] = math.floor(u[2 + axis] * (2 * crop + 1)) - crop
            if shift[axis] == int(shift[axis]):
                moved[axis] = math.floor(u[axis] * (2 * shift[axis] + 1)) - shift[axis]
            else:
                moved[axis] = (2 * u[axis] - 1) * shift[axis]
        angle = math.radians(rotate * (2 * u[5] - 1))
        slope = math.tan(math.radians(shear * (2 * u[7] - 1)))
        factor = 1 + scale * (2 * u[6] - 1)
        down, right = (-1 if flip & bit and u[8 + i] < 0.5 else 1 for i, bit in enumerate((2, 1)))
        steps = [
            matrix((side, 0, start[0]), (0, side, start[1])),
            matrix((1, 0, -moved[0] - middle[0]), (0, 1, -moved[1] - middle[1])),
            matrix((math.cos(angle), math.sin(angle), 0), (-math.sin(angle), math.cos(angle), 0)),
            matrix((1, 0, 0), (slope, 1, 0)),
            matrix((down / factor, 0, middle[0]), (0, right / factor, middle[1])),
        ]
        whole = np.eye(3)
        for step in steps:
            whole = step @ whole
        maps[n] = whole[:2]


def _spline(distance):
    distance = abs(distance)
    if distance < 1:
        return 2 / 3 - distance**2 + distance**3 / 2
    return (2 - distance) ** 3 / 6 if distance < 2 else 0.0


def elastic_field(rows, key, alpha, sigma, field):
    spacing = math.sqrt(3) * sigma
    size = alpha / sigma / (2 * math.sqrt(math.pi)) / (151 / 315)
    for n, part, i, j in itertools.product(*map(range, field.shape)):
        y, x = i / spacing + _random(key, rows[n], 14), j / spacing + _random(key, rows[n], 15)
        field[n, part, i, j] = 0
        for a, b in itertools.product(range(int(y), int(y) + 4), range(int(x), int(x) + 4)):
            noise = 2 * _random(key, rows[n], 16 + (part * 2**20 + a) * 2**20 + b) - 1
            field[n, part, i, j] += size * noise * _spline(y - a + 1) * _spline(x - b + 1)


def _pixel(image, i, j, border, fill):
    """The pixel at whole numbers i and j, which may lie outside."""
    place = []
    for at, n in zip((i, j), image.shape[:2], strict=True):
        if border == 1:
            at = min(max(at, 0), n - 1)
        while border == 2 and not 0 <= at < n:
            at = -at if at < 0 else 2 * (n - 1) - at
            if n == 1:
                at = 0
        if not 0 <= at < n:
            return fill
        place.append(at)
    return image[tuple(place)]


def warp(source, rows, maps, field, border, fill, batch):
    for n, i, j in itertools.product(*map(range, batch.shape[:3])):
        y, x = maps[n] @ (i, j, 1) + (field[n, :, i, j] if field.size else 0)
        top, left = math.floor(y), math.floor(x)
        batch[n, i, j] = 0
        for a, b in itertools.product((top, top + 1), (left, left + 1)):
            weight = (1 - abs(y - a)) * (1 - abs(x - b))
            batch[n, i, j] += weight * _pixel(source[rows[n]], a, b, border, fill)


def cutout(rows, key, size, fill, images):
    height, width = images.shape[1:3]
    for n, row in enumerate(rows):
        top = math.floor(_random(key, row, 10) * height) - size // 2
        left = math.floor(_random(key, row, 11) * width) - size // 2
        for i, j in itertools.product(range(height), range(width)):
            if top <= i < top + size and left <= j < left + size:
                images[n, i, j] = fill


def mixup(rows, key, alpha, x, mixed):
    for n, row in enumerate(rows):
        root = math.cos(2 * math.pi * _random(key, row, 13))
        try:
            tail = ((1 - _random(key, row, 12)) ** (-1 / alpha) - 1) * root * root
        except OverflowError:
            tail = math.inf
        share = 0.5 + 0.5 / math.sqrt(1 + 1 / tail) if tail else 0.5
        for c in range(x.shape[1]):
            mixed[n, c] = share * x[n, c] + (1 - share) * x[(n + 1) % len(x), c]
