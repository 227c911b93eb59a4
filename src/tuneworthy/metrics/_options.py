"""Read the options of one metric from the task's `success.options`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from tuneworthy.core.record import Record

Kind = TypeVar("Kind", bound=Record)


def read_options(kind: type[Kind], options: Mapping[str, Any]) -> Kind:
    """Return `options` as a metric's own Record; keys of other metrics are ignored.

    Raises pydantic's ValidationError; a task file is checked before (`data/task_consistency.py`).
    """
    return kind.model_validate({k: v for k, v in options.items() if k in kind.model_fields})
