"""Reading the options of one metric from those of the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from tuneworthy.core.record import Record

Kind = TypeVar("Kind", bound=Record)


def read(kind: type[Kind], options: Mapping[str, Any]) -> Kind:
    """Return the options of a metric, its defaults where nothing is said; other keys are left.

    Raises pydantic's ValidationError; a task file is checked before (`data/sense.py`).
    """
    return kind.model_validate({k: v for k, v in options.items() if k in kind.model_fields})
