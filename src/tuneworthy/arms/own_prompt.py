"""A prompt of your own from a file, such as a new one beside what runs today."""

from __future__ import annotations

from tuneworthy.arms._prompted import prompting_arm
from tuneworthy.arms.prompt.messages import file_recipe
from tuneworthy.records.arm import Asks, Fitted, Setup, Sizes, Work
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 10
NEEDS = frozenset({"model"})
WITHOUT_GOLD = True
BY_NAME = True
REMEDY = "convention"
READS_FILE = True


class Options(Record):
    """`file`: the prompt; with `{input}` it is the user's turn, else the system's."""

    file: str = "prompt.md"


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the fitted arm: the file's text is the whole prompt, and no training row is used."""
    path = setup.task.folder / options.file
    if not path.is_file():
        raise DoesNotApply(f"there is no prompt file {options.file}")
    return prompting_arm(setup, file_recipe(path))


def estimate(sizes: Sizes, options: Options) -> Work:  # noqa: ARG001
    """Return one request for each case, as long as with the plain instruction."""
    cases = Asks(requests=sizes.cases, shared=sizes.shared, own=sizes.own)
    return Work(asks=(cases,), answer=sizes.cap)
