"""The inputs from which each exported form is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.core.artefact import Artefact
from tuneworthy.core.build_report import FormParity
from tuneworthy.core.case import Case
from tuneworthy.core.evidence import ArmResult
from tuneworthy.core.live_check import Expiry
from tuneworthy.core.task import Task
from tuneworthy.core.verdict import Verdict
from tuneworthy.data.docs import Doc


@dataclass(frozen=True)
class Parts:
    """The inputs of the exported forms: a fitted arm, its models, folders and evidence.

    `artefact` has no files yet. `base` is the answering model without its adapter and `model` the
    one with it (None: no model); `weights` is the folder of the base's weights (None: not local).
    `adapter` is the folder that training wrote. `sample` are the messages of the prompt for the
    input `{input}`, under the system turn that all rows (`cases`) bring. `result` is the arm's
    result in the study. `room` is the context needed for the parity check: the most
    tokens of a prompt with its answer. `parity` is set once the other forms were checked;
    `expiry` is when the verdict may no longer hold, or why no day is known.
    """

    artefact: Artefact
    task: Task
    verdict: Verdict
    result: ArmResult
    rows: int
    model: Any = None
    base: Any = None
    weights: Path | None = None
    adapter: Path | None = None
    classifier: Any = None
    docs: Sequence[Doc] = ()
    sample: Sequence[Any] = ()
    cases: Sequence[Case] = ()
    licence: str | None = None
    data_hash: str = ""
    room: int = 0
    parity: Sequence[FormParity] = ()
    expiry: Expiry | None = None
    say: Callable[[str], None] = lambda text: None
