"""A pytest fixture that judges a change: it skips on *cannot say* and fails on *worse*.

pytest finds it by its entry point. It imports the package when the fixture is used, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import pytest

if TYPE_CHECKING:
    from tuneworthy.verdict.gate_rule import Gate

_Path = str | PathLike[str]
_Unsure = Literal["skip", "fail", "pass"]


@pytest.fixture
def tuneworthy_gate() -> Callable[..., Gate]:
    """Return a function that judges a change, as `tuneworthy gate` does: see `_judge`."""
    return _judge


def _judge(
    first: _Path,
    second: _Path,
    gold: _Path,
    *,
    margin: float = 0.05,
    level: float = 0.05,
    metric: str | None = None,
    looks: _Path | None = None,
    change: str = "",
    cannot_say: _Unsure = "skip",
) -> Gate:
    """Return the gate on B (`second`) against A (`first`) if it is better or no worse.

    The test fails if B is worse, and is skipped if nothing can be said (`cannot_say` chooses). Both
    are files of recorded answers to the rows of `gold`. `margin` and `level` are shares. Raises the
    errors of `tuneworthy gate` where the files can't be compared, and TaskError for values that it
    refuses too.
    """
    from tuneworthy.flows.comparing import CompareOptions, compare_files
    from tuneworthy.flows.gating import GateRequest, run_gate
    from tuneworthy.records.errors import TaskError
    from tuneworthy.verdict.gate_rule import GatePolicy

    if cannot_say not in (known := get_args(_Unsure)):
        raise TaskError(
            "there is no such choice", where="cannot_say", got=cannot_say,
            fix=f"write one of: {', '.join(known)}", kept="your files",
        )  # fmt: skip
    files, options = (Path(first), Path(second), Path(gold)), CompareOptions(metric)
    compare, policy = partial(compare_files, *files, options), GatePolicy(margin, level)
    file = None if looks is None else Path(looks)
    gate = run_gate(GateRequest(compare, files[2], policy, looks=file, change=change))
    verdict = gate.verdict
    told = f"{verdict.outcome}: {verdict.sentence} {verdict.next_step}".strip()
    if verdict.outcome == "worse" or (verdict.outcome == "cannot say" and cannot_say == "fail"):
        pytest.fail(told, pytrace=False)
    if verdict.outcome == "cannot say" and cannot_say == "skip":
        pytest.skip(told)
    return gate
