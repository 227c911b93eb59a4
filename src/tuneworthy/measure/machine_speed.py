"""Estimate the minutes of an arm's work from the speed of this machine.

Reading and writing are timed before a plan (`measure/timing.py`). Training is not: timing a step
would cost as much as the estimate saves. It counts as reading times a factor below; the stage rule
corrects the estimate by the minutes of the first folds, separately for each kind of training.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tuneworthy.core.arm import Pace, Work
from tuneworthy.core.run import Spec

# Cost of a training step of an adapter in forward passes: backward costs about two, and the loop
# measured 3.1 to 3.4 in total on two machines.
TRAINING_FACTOR = 3.3
# Autograd takes about 2.8 times as long as the CPU engine's written-out gradient (one thread).
AUTOGRAD_FACTOR = 2.8
# Training all weights needs three products a weight and token, an adapter needs two.
ALL_WEIGHTS_FACTOR = 1.5


@dataclass(frozen=True)
class Speed:
    """Tokens per second of this machine: `read` prompt tokens, `written` answer tokens in bulk.

    `others`: the share of CPU time that other programs took during the measurement. `engine`: the
    CPU engine trains adapters. `single_precision_ratio`: the time of a product in single precision
    over that in the model's. `teacher`: the teacher's parameters over the model's, 0 behind an
    endpoint, None if its size is unknown.
    """

    read: float
    written: float
    others: float = 0.0
    engine: bool = False
    single_precision_ratio: float = 1.0
    teacher: float | None = 1.0

    def minutes(self, work: Work) -> float:
        """Return the estimated minutes of this work."""
        read = work.read + self.passes(work.pace) * work.trained
        own = work.layers * (read / self.read + work.written / self.written)
        taught = work.taught_read / self.read + work.taught_written / self.written
        return (own + taught * (1.0 if self.teacher is None else self.teacher)) / 60

    def passes(self, pace: Pace) -> float:
        """Return how many tokens read take as long as one trained token."""
        autograd = TRAINING_FACTOR * (AUTOGRAD_FACTOR if self.engine else 1.0)
        if pace == "whole":
            return autograd * ALL_WEIGHTS_FACTOR * self.single_precision_ratio
        return autograd if pace == "autograd" else TRAINING_FACTOR

    def assumptions(self, works: Iterable[tuple[Spec, Work]]) -> tuple[str, ...]:
        """Return one sentence for each assumed factor behind the minutes of the training arms."""
        by_pace: dict[Pace, list[str]] = {}
        blind: list[str] = []
        for spec, work in works:
            if work.trained:
                by_pace.setdefault(work.pace, []).append(spec.name)
            if self.teacher is None and (work.taught_read or work.taught_written):
                blind.append(spec.name)
        lines = [
            f"{', '.join(names)}: a trained token counts {self.passes(pace):.1f} tokens read, "
            f"{_PACE_SOURCES[pace]}"
            for pace, names in by_pace.items()
        ]
        if blind:
            lines.append(
                f"{', '.join(blind)}: the size of the teacher is unknown, so it is taken to be as "
                "fast as the model"
            )
        return tuple(lines)


_PACE_SOURCES: dict[Pace, str] = {
    "": "by figures of other machines",
    "adapter": "by figures of other machines",
    "autograd": "as autograd finds the gradient, by figures of other machines",
    "elsewhere": "as if our loop trained it: how fast its command is, is unknown",
    "whole": "by its share of trained weights and its precision, not measured",
}
