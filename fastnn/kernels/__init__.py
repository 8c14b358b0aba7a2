"""The compiled operations: the contract, and the flat list.

A kernel is a pure loop nest over C-contiguous, aligned, writable arrays of one float type. Outputs come last and are
overwritten whole; a kernel returns nothing, checks nothing, allocates nothing and never touches memory outside its
arrays. An array of size 0 stands for "no array". Every operation has a twin of the same name and signature in
`fastnn.reference`, and tests compare the two.

Images are (N, H, W, C), convolution weights (R, S, C / groups, K), dense weights (C, K).

The module `bf16` has the products of dense layers and convolutions once more, under the same names, faster and rounder.
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
from .planes import conv2d_pool_inference, has_conv2d_pool_inference
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
    conv2d_pool_input_gradient,
    conv2d_pool_scratch_size,
    conv2d_pool_weight_gradient,
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
