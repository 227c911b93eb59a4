"""Measure how an adapter's strength changes 20 answers: seven recorded strengths, others live.

The adapter is the playground's for support tickets; strength multiplies its change.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tuneworthy.lab.cases import ANSWER_TOKENS, scored_case
from tuneworthy.lab.events import SCHEMA, Emit, RunStopped, write_record
from tuneworthy.lab.play_run import SEED, TASKS, Control, model_at, task_rows
from tuneworthy.lab.recordings import PACKAGE_RECORDS
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.model import Limits

_TASK_NAME = "support_tickets"
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
ANSWERED_ROWS, ROWS_AT_ONCE = 20, 10  # number of new rows to answer; rows per group
RECORD_FILE = PACKAGE_RECORDS / "strength.json.gz"


@dataclass(frozen=True)
class _StrengthAnswers:
    """The answers at one strength, with their scores."""

    strength: float
    answers: tuple[Answer, ...]
    scores: tuple[Score | None, ...]

    def plain(self) -> dict[str, Any]:
        """Return the shares, the mean score and the first answer, as a page shows them."""
        known = [score for score in self.scores if score is not None]
        first = self.answers[0]
        return {
            "strength": self.strength,
            "answers": len(self.answers),
            "valid": fmean(bool(score.valid) for score in known) if known else None,
            "score": round(fmean(score.value for score in known), 3) if known else None,
            "ended": sum(answer.finish == "stop" for answer in self.answers),
            "text": first.text,
            "whole": first.finish == "stop",
        }


def _answer_at_strength(
    strength: float,
    base: Any,
    control: Control,
    told: Callable[[_StrengthAnswers], None],
) -> _StrengthAnswers:
    """Return the answers to 20 new rows at one strength; call `told` with those so far per group.

    `control` is called after each group; it stops the run by raising RunStopped.
    """
    model = model_at(strength, _TASK_NAME, base)
    rows, score = task_rows(_TASK_NAME).new[:ANSWERED_ROWS], scorer(TASKS[_TASK_NAME].task())
    limits = Limits(max_tokens=ANSWER_TOKENS, seed=SEED)
    known = _StrengthAnswers(strength, (), ())
    for start in range(0, ANSWERED_ROWS, ROWS_AT_ONCE):
        group = rows[start : start + ROWS_AT_ONCE]
        replies = model.reply([row.messages for row in group], limits)
        answers = tuple(
            Answer(case=row.id, text=reply.text, tokens_out=reply.tokens_out,
                   finish=reply.finish, error=reply.error)
            for row, reply in zip(group, replies, strict=True)
        )  # fmt: skip
        cases = [scored_case(row) for row in group]
        found = score.all(cases, answers)
        scores = tuple(one if isinstance(one, Score) else None for one in found)
        known = _StrengthAnswers(strength, known.answers + answers, known.scores + scores)
        told(known)
        control()
    return known


def stream_adapter_strength(strength: float, base: Any, emit: Emit, control: Control) -> None:
    """Measure one strength live; send begin, an event `stop` per group of answers, and end."""
    begun, state = time.perf_counter(), "done"
    emit({"kind": "begin", "schema": SCHEMA, "strength": strength, "rows": ANSWERED_ROWS})
    try:
        _answer_at_strength(
            strength, base, control, lambda known: emit({"kind": "stop", **known.plain()})
        )
    except RunStopped:
        state = "stopped"
    because = "stopped before all answers were whole" if state == "stopped" else None
    emit({"kind": "end", "state": state, "because": because,
          "seconds": round(time.perf_counter() - begun, 1)})  # fmt: skip


def record_strength(
    base: Any, path: Path = RECORD_FILE, say: Callable[[str], None] = print
) -> Path:
    """Measure all strengths and write them as the shipped record; return its path."""
    rows, stops = task_rows(_TASK_NAME).new[:ANSWERED_ROWS], []
    for strength in STRENGTHS:
        known = _answer_at_strength(strength, base, lambda: None, lambda known: None)
        stops.append(known.plain())
        say(json.dumps(stops[-1]))
    begin = {"kind": "begin", "schema": SCHEMA, "task": _TASK_NAME, "seed": SEED,
             "rows": ANSWERED_ROWS,
             "model": base.spec, "input": rows[0].input, "gold": rows[0].output}  # fmt: skip
    return write_record([begin, *({"kind": "stop", **stop} for stop in stops)], path)
