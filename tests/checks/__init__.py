"""Checks of operations that hold for both backends, one module per file of operations.

Each `check_...(ops, case)` takes the module of operations to check (`fastnn.reference` or `fastnn.kernels`)
and a case: a small frozen dataclass that names shapes and options and makes its arrays from a seed.
`..._EXAMPLES` are the awkward cases by hand, `..._cases()` the hypothesis strategies. A check against the
oracle takes `place` too: what copies each array to where the operation finds it; `memory.guarded_end` and
`memory.guarded_start` put it beside a protected page.

`CHECKS` names, for each file of operations, the checks against the oracle with their examples.
"""

from . import activation, augment, batch, conv, dense, loss, metric, norm, optim, pool, pooled

CHECKS = {
    "activation": [
        (activation.check_activation, activation.ACTIVATION_EXAMPLES),
        (activation.check_clip, activation.ACTIVATION_EXAMPLES[:6]),
        (activation.check_softmax, activation.SOFTMAX_EXAMPLES),
        (activation.check_dropout, activation.DROPOUT_EXAMPLES),
    ],
    "augment": [
        (augment.check_random_affine, augment.AFFINE_EXAMPLES),
        (augment.check_elastic_field, augment.FIELD_EXAMPLES),
        (augment.check_warp, augment.WARP_EXAMPLES),
        (augment.check_cutout, augment.CUTOUT_EXAMPLES),
        (augment.check_mixup, augment.MIXUP_EXAMPLES),
    ],
    "batch": [(batch.check_gather, batch.BATCH_EXAMPLES)],
    "residual": [(batch.check_residual_add, batch.BATCH_EXAMPLES)],
    "metric": [(metric.check_accuracies, metric.METRIC_EXAMPLES)],
    "conv": [(conv.check_conv2d, conv.CONV2D_EXAMPLES)],
    "dense": [(dense.check_dense, dense.DENSE_EXAMPLES)],
    "loss": [
        (loss.check_softmax_cross_entropy, loss.CROSS_ENTROPY_EXAMPLES),
        (loss.check_soft_cross_entropy, loss.CROSS_ENTROPY_EXAMPLES),
        (loss.check_element_losses, loss.ELEMENT_LOSS_EXAMPLES),
        (loss.check_total_loss, loss.ELEMENT_LOSS_EXAMPLES),
    ],
    "norm": [
        (norm.check_batch_norm, norm.NORM_EXAMPLES),
        (norm.check_batch_norm_follow, norm.NORM_EXAMPLES),
    ],
    "optim": [
        (optim.check_optimizers, optim.OPTIMIZER_EXAMPLES),
        (optim.check_gradient_passes, optim.OPTIMIZER_EXAMPLES),
    ],
    "pool": [
        (pool.check_max_pool2d, pool.POOL_EXAMPLES),
        (pool.check_avg_pool2d, pool.POOL_EXAMPLES),
        (pool.check_global_avg_pool2d, pool.POOL_EXAMPLES),
    ],
    "pooled": [
        (pooled.check_pooled, pooled.POOLED_EXAMPLES),
        (pooled.check_inner, pooled.SINGLE_EXAMPLES[::4]),
        (pooled.check_pooled_inference, pooled.FEW_EXAMPLES),
    ],
}
