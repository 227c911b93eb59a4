"""Open a finished study of a task, whether it was run with `--brief` or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuneworthy.flows.session import Session, open_session
from tuneworthy.records.errors import TaskError
from tuneworthy.records.results import Results
from tuneworthy.records.run import RunOptions


@contextmanager
def open_finished(
    path: Path,
    options: RunOptions = RunOptions(),
    tell: Callable[[str, Any], None] = lambda event, data: None,
) -> Iterator[tuple[Session, Results]]:
    """Yield the open session of a finished study and its results: the whole study, else the brief.

    Raises TaskError if neither is finished.
    """
    for brief in (options.brief, True):
        with open_session(path, replace(options, brief=brief), tell) as session:
            if (study := session.finished()) is not None:
                yield session, study
                return
    raise TaskError(
        "there is no finished study of this task, these rows and this tuneworthy version",
        where=str(path),
        fix="`tuneworthy run` makes one; what was measured before is not measured again",
    )
