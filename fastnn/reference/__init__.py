"""The plain NumPy path: every operation of `fastnn.kernels`, under the same name and with the same signature.

It is the readable description of what the kernels compute, the slow path on machines without Numba, and the
opponent in the benchmarks: NumPy as a good script would have it, with im2col, BLAS and whole-array passes.

The contract is the kernels' own: C-contiguous, writable arrays of one float dtype, outputs last and fully
overwritten, nothing returned, nothing checked. An array that is not wanted (no bias, no momentum) has size 0.
Unlike kernels, these functions allocate temporaries, and so need no scratch memory: the scratch sizes are 0.

The module `bf16` is the twin of `fastnn.kernels.bf16`.
"""

from .activation import (
    activation_backward,
    activation_forward,
    clip_backward,
    clip_forward,
    dropout_backward,
    dropout_forward,
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)
from .augment import cutout, elastic_field, mixup, random_affine, warp
from .batch import gather
from .conv import conv2d_forward, conv2d_input_gradient, conv2d_scratch_size, conv2d_weight_gradient
from .dense import dense_forward, dense_input_gradient, dense_scratch_size, dense_weight_gradient
from .loss import (
    binary_cross_entropy_backward,
    binary_cross_entropy_forward,
    mean_squared_error_backward,
    mean_squared_error_forward,
    soft_cross_entropy_backward,
    soft_cross_entropy_forward,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
    total_loss,
)
from .metric import class_accuracy, one_hot_accuracy, sign_accuracy
from .norm import (
    batch_norm_backward,
    batch_norm_follow,
    batch_norm_forward,
    batch_norm_inference,
    batch_norm_inference_backward,
    batch_norm_scratch_size,
)
from .optim import (
    accumulate_gradients,
    adam_update,
    clip_by_norm,
    clip_by_value,
    rmsprop_update,
    sgd_update,
    sum_of_squares,
)
from .pool import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    global_avg_pool2d_backward,
    global_avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from .pooled import (
    conv2d_pool_forward,
    conv2d_pool_inference,
    conv2d_pool_input_gradient,
    conv2d_pool_scratch_size,
    conv2d_pool_weight_gradient,
    has_conv2d_pool_inference,
)
from .residual import residual_add

__all__ = [
    "accumulate_gradients",
    "activation_backward",
    "activation_forward",
    "adam_update",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_follow",
    "batch_norm_forward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "batch_norm_scratch_size",
    "binary_cross_entropy_backward",
    "binary_cross_entropy_forward",
    "class_accuracy",
    "clip_backward",
    "clip_by_norm",
    "clip_by_value",
    "clip_forward",
    "conv2d_forward",
    "conv2d_input_gradient",
    "conv2d_pool_forward",
    "conv2d_pool_inference",
    "conv2d_pool_input_gradient",
    "conv2d_pool_scratch_size",
    "conv2d_pool_weight_gradient",
    "conv2d_scratch_size",
    "conv2d_weight_gradient",
    "cutout",
    "dense_forward",
    "dense_input_gradient",
    "dense_scratch_size",
    "dense_weight_gradient",
    "dropout_backward",
    "dropout_forward",
    "elastic_field",
    "gather",
    "global_avg_pool2d_backward",
    "global_avg_pool2d_forward",
    "has_conv2d_pool_inference",
    "log_softmax_backward",
    "log_softmax_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "mixup",
    "one_hot_accuracy",
    "random_affine",
    "residual_add",
    "rmsprop_update",
    "sgd_update",
    "sign_accuracy",
    "soft_cross_entropy_backward",
    "soft_cross_entropy_forward",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
    "sum_of_squares",
    "total_loss",
    "warp",
]
