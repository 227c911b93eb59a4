"""The inputs of each exported form, its sample input, and its chat template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.arms.prompt.messages import INPUT_PLACEHOLDER, common_system
from tuneworthy.models.local.chat_template import TEMPLATE_FILE, one_template
from tuneworthy.records.artefact import Artefact
from tuneworthy.records.build_report import FormParity
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.counting import count_noun
from tuneworthy.records.evidence import ArmResult
from tuneworthy.records.live_check import Expiry
from tuneworthy.records.task import Task
from tuneworthy.records.verdict import Verdict
from tuneworthy.rows.docs import Doc


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


def sample_query(cases: Sequence[Case]) -> Query:
    """Return a query with the placeholder `{input}`; its prompt is the exported one."""
    text = Message(role="user", content=INPUT_PLACEHOLDER)
    return Query(id="sample", messages=(*common_system(cases), text))


def differing_system(cases: Sequence[Case]) -> str:
    """Return "" if one system turn serves every row, else the reason why none does."""
    brought = any(m.content.strip() for case in cases for m in case.messages if m.role == "system")
    return "the rows bring different system turns" if brought and not common_system(cases) else ""


def earlier_turns_note(cases: Sequence[Case]) -> str:
    """Return the note on rows with turns before the input, "" if there are none."""
    spoken = [sum(m.role != "system" for m in case.messages) for case in cases]
    if not (several := sum(count > 1 for count in spoken)):
        return ""
    return (f"{count_noun(several, 'row')} of {len(cases)} had earlier turns: put those of an input"
            " before the prompt's last message")  # fmt: skip


def write_template(parts: Parts, folder: Path) -> tuple[str, ...]:
    """Write the chat template if it has a thinking switch and return a note, else ()."""
    thinking = getattr(parts.model, "thinking", None)
    if thinking is None or thinking.state in ("none", "maybe"):
        return ()
    (folder / TEMPLATE_FILE).write_text(one_template(parts.model.tokenizer), "utf-8")
    state = "on" if thinking.thinks else "off"
    return (f"its chat template has thinking {state}, as measured",)
