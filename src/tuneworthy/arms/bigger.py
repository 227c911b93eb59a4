"""The best prompt so far, asked of the larger model that the task names."""

from __future__ import annotations

from tuneworthy.arms._prompted import prompted
from tuneworthy.core.arm import Fitted, Setup, Sizes, Work
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.record import Record

TOOL, ROLE, SIMPLICITY = "bigger", "candidate", 10
NEEDS = frozenset({"bigger"})
REMEDY = "capability"


class Options(Record):
    """None: the model is the task's `bigger`.

    It has no placebo: that would be a sibling of the base model's own size, which a task does not
    name. What a second opinion alone rescues is seen where the base is asked again (`rerun`).
    """


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm on `setup.recipe`, chosen on the base model. Raises DoesNotApply.

    The prompt is the same on purpose: only the model differs.
    """
    if (model := setup.models.get("bigger")) is None:
        raise DoesNotApply("the task's `bigger` is not set, or can't be opened here")
    return prompted(setup, setup.recipe, model=model)


def estimate(sizes: Sizes, options: Options) -> Work:  # noqa: ARG001
    """Return the work, with the examples of the best prompt.

    In tokens: the minutes of a plan are those of the base model, too few for a larger one.
    """
    read = sizes.shared + sizes.cases * sizes.asked
    return Work(requests=sizes.cases, read=read, written=sizes.cases * sizes.answer)
