"""How long work takes on this machine, and what of that is not measured here.

Reading and writing are timed before a plan (`measure/timing.py`). Training is not: a timed step
would cost what it is to estimate. Its factors stand here; the stage rule corrects them by the
minutes of the first folds, apart for each kind of training.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tuneworthy.core.arm import Pace, Work
from tuneworthy.core.run import Spec

# Cost of a training step of an adapter in forward passes: backward costs about two, and the loop
# measured 3.1 to 3.4 in total on two machines.
TRAINING = 3.3
# Autograd takes about 2.8 times as long as the CPU engine's written-out gradient (one thread).
AUTOGRAD = 2.8
# All weights need their own gradient: three products a weight and token in the place of two.
WHOLE = 1.5


@dataclass(frozen=True)
class Speed:
    """Tokens per second of this machine: `read` prompt tokens, `written` answer tokens in bulk.

    `others`: the share of CPU time that other programs took during the measurement. `engine`: the
    CPU engine trains adapters. `single`: the time of a product in single precision over that in the
    model's. `teacher`: the teacher's parameters over the model's, 0 behind an endpoint, None if its
    size is unknown.
    """

    read: float
    written: float
    others: float = 0.0
    engine: bool = False
    single: float = 1.0
    teacher: float | None = 1.0

    def minutes(self, work: Work) -> float:
        """Return the minutes that this work takes."""
        read = work.read + self.passes(work.pace) * work.trained
        own = work.layers * (read / self.read + work.written / self.written)
        taught = work.taught_read / self.read + work.taught_written / self.written
        return (own + taught * (1.0 if self.teacher is None else self.teacher)) / 60

    def passes(self, pace: Pace) -> float:
        """Return the forward passes that training on a token takes as long as."""
        autograd = TRAINING * (AUTOGRAD if self.engine else 1.0)
        if pace == "whole":
            return autograd * WHOLE * self.single
        return autograd if pace == "autograd" else TRAINING

    def assumptions(self, works: Iterable[tuple[Spec, Work]]) -> tuple[str, ...]:
        """Return sentences on the factors behind the minutes of training arms."""
        by_pace: dict[Pace, list[str]] = {}
        blind: list[str] = []
        for spec, work in works:
            if work.trained:
                by_pace.setdefault(work.pace, []).append(spec.name)
            if self.teacher is None and (work.taught_read or work.taught_written):
                blind.append(spec.name)
        lines = [
            f"{', '.join(names)}: a trained token counts {self.passes(pace):.1f} tokens read, "
            f"{_WHY[pace]}"
            for pace, names in by_pace.items()
        ]
        if blind:
            lines.append(
                f"{', '.join(blind)}: the size of the teacher is unknown, so it is taken to be as "
                "fast as the model"
            )
        return tuple(lines)


_WHY: dict[Pace, str] = {
    "": "by figures of other machines",
    "adapter": "by figures of other machines",
    "autograd": "as autograd finds the gradient, by figures of other machines",
    "elsewhere": "as if it trained here: how fast its API is, is unknown",
    "whole": "by its share of trained weights and its precision, not measured",
}
