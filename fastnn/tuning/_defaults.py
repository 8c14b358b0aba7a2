"""What is searched where nothing says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastnn import _checks
from fastnn.settings import OPTIMIZERS, Settings
from fastnn.tuning.space import Space

_OPTIMIZERS = ("sgd", "adam", "adamw")
_SCHEDULES = ("constant", "cosine", "one-cycle")
_FACTOR = 10  # of a usual learning rate, down and up
# Width and depth, see `space.sizes`; lenet5 has fixed ones.
_SIZES: dict[str, dict[str, Any]] = {
    "mlp": {"width": [64, 128, 256, 512], "depth": {"low": 1, "high": 3}},
    "cnn": {"width": [8, 16, 32, 48], "depth": {"low": 1, "high": 3}},
    "vgg": {"width": [16, 32, 48], "depth": {"low": 2, "high": 3}},
    "resnet": {"width": [8, 16, 32], "depth": {"low": 2, "high": 3}},
}


def default_space(settings: Settings, fixed: Iterable[str] = ()) -> Space:
    """Learning rate, batch size, width, depth, optimizer, dropout and schedule, as they suit the network of settings.

    Learning rates are up to ten times smaller or larger than what an optimizer usually takes. fixed: names of settings
    that stay as they are, such as "optimizer.name". Raises ValueError where nothing is left.
    """
    _checks.instance("default_space", "settings", settings, Settings, "Settings")
    fixed = set(fixed)
    optimizers = (settings.optimizer.name,) if "optimizer.name" in fixed else _OPTIMIZERS
    rates = {name: float(OPTIMIZERS[name][1]["learning_rate"]) for name in optimizers}
    axes: dict[str, Any] = {
        "optimizer.name": list(_OPTIMIZERS),
        **{
            f"optimizer.{name}.learning_rate": {"low": rate / _FACTOR, "high": rate * _FACTOR, "log": True}
            for name, rate in rates.items()
        },
        "schedule.name": list(_SCHEDULES),
        "training.batch_size": [32, 64, 128, 256],
        **{f"network.{key}": values for key, values in _SIZES.get(settings.network.name, {}).items()},
        "network.dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
    }
    if fixed & {"network.hidden", "network.channels"}:
        fixed |= {"network.width", "network.depth"}
    if "optimizer.learning_rate" in fixed:
        fixed |= {f"optimizer.{name}.learning_rate" for name in rates}
    network = settings.network.keywords
    if isinstance(network.get("kernel_size"), tuple):  # one for each stage: their number is fixed
        fixed |= {"network.depth"}
    elif network.get("padding") == "valid":  # a further stage may find no pixels any more
        axes["network.depth"] = {"low": 1, "high": len(network["channels"])}
    axes = {name: values for name, values in axes.items() if name not in fixed}
    if not axes:
        raise ValueError("default_space: fixed leaves nothing to search")
    return Space(axes, settings)
