"""The number that a callback watches, and when it has become better."""

from __future__ import annotations

from collections.abc import Mapping

from fastnn import _checks


class Monitor:
    """monitor: a name of an epoch's row. mode: "min", "max", or "auto": "max" for an accuracy, else "min".

    Better is what differs by more than min_delta in the right direction.
    """

    def __init__(self, owner: str, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        _checks.instance(owner, "monitor", monitor, str, "a word")
        self.owner, self.name = owner, monitor
        mode = _checks.choice(owner, "mode", mode, ("auto", "min", "max"))
        self.higher_is_better = mode == "max" or (mode == "auto" and "acc" in monitor)
        self.min_delta = _checks.number(owner, "min_delta", min_delta, minimum=0)

    def check(self, logs: Mapping[str, float]) -> None:
        """On what `on_train_begin` is given: ValueError when the number would need validation data."""
        if self.name in ("val_loss", "val_accuracy") and not logs["validation_samples"]:
            known = "loss, accuracy, seconds"
            raise ValueError(
                f"{self.owner}: monitor must be one of {known} without validation data, got {self.name!r}"
            )

    def value(self, logs: Mapping[str, float]) -> float:
        """The number. ValueError where there is none: it lists what there is."""
        known = [name for name, value in logs.items() if value == value]  # plain target values have no accuracy
        if self.name not in known:
            raise ValueError(f"{self.owner}: monitor must be one of {', '.join(known)}, got {self.name!r}")
        return logs[self.name]

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether value is better; than anything where there is nothing yet."""
        if than is None:
            return True
        return value - self.min_delta > than if self.higher_is_better else value + self.min_delta < than
