"""The path to a decision: a screen for each of three questions and of the checklist's.

A screen whose question was not measured names the command that measures it. Computes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from tuneworthy.core.causes import PASSAGE_CAUSES, Effect
from tuneworthy.core.interval import Interval
from tuneworthy.core.results import Results
from tuneworthy.core.task import Task
from tuneworthy.lab.problem import Problem
from tuneworthy.questions import CHECKLIST
from tuneworthy.report import _words as words
from tuneworthy.report._across import failures_section
from tuneworthy.report._notes import questions_section

CONTEXT_CAUSES = PASSAGE_CAUSES | {"convention"}
"""Causes of failures that examples or passages in the prompt may repair."""
_TASK_KEY = re.compile(r"(?<![\w.])[a-z]+(?:_[a-z]+)*(?:\.[a-z_]+)*(?![\w])")
_COMMAND = re.compile(r"`(tuneworthy [a-z][a-z0-9 .-]*)`")


@dataclass(frozen=True)
class DecisionScreen:
    """A question with its answer (`yes`, `no`, `shown`, `not measured`, …) and its numbers.

    `rows` are measured parts of the answer: (what, number with its interval, cases). `command` and
    `yaml` (keys of task.yaml) measure it, if it was not measured.
    """

    name: str
    part: str
    question: str
    answer: str
    tone: str
    number: str = ""
    because: tuple[str, ...] = ()
    rows: tuple[tuple[str, str, str], ...] = ()
    prior: str = ""
    next: str = ""
    command: str = ""
    yaml: str = ""
    meaning: str = field(default="")


def decision_screens(results: Results) -> list[DecisionScreen]:
    """Return the screens in order: three questions, the checklist's five, the other questions."""
    return [
        _wrong_screen(results),
        _context_screen(results),
        _success_screen(results),
        *_question_screens(results),
    ]


def screen_position(found: list[DecisionScreen], name: str) -> int:
    """Return the position of a screen by its name ("": 0). Raises Problem (404) if unknown."""
    names = [screen.name for screen in found]
    if name and name not in names:
        raise Problem(404, "there is no such question", where="q", got=name,
                      fix=f"one of: {', '.join(names)}")  # fmt: skip
    return names.index(name) if name else 0


def _wrong_screen(results: Results) -> DecisionScreen:
    across = failures_section(results)
    rows: list[tuple[str, str, str]] = []
    because: list[str] = []
    if across:
        seen = across["seen"]
        for row in across.get("rows", ()):
            wrong = row["wrong"]
            ends = f"{100 * wrong.low:.0f} to {100 * wrong.high:.0f} %"
            share = f"{row['percent']} %" + ("" if wrong.cause == "untried" else f" ({ends})")
            rows.append((str(row["title"]), share, f"n {wrong.n:,}"))
        because = [text for text in (across.get("few"), seen.because, *seen.said) if text]
    measured, few = bool(rows), bool(across and across.get("few"))
    answer = "not measured" if not measured else "too few failures" if few else "measured"
    why = "no remedy ran beside a placebo, so no cause is shown" if not because else ""
    return DecisionScreen(
        name="wrong", part="Before anything is trained",
        question="What exactly is wrong with the base model?",
        meaning="Each remedy runs beside a placebo, the same thing without its active part.",
        answer=answer, tone="yes" if answer == "measured" else "soft",
        rows=tuple(rows), because=tuple(because) or ((why,) if why else ()),
        **({} if measured else _command_for_more(results)),
    )  # fmt: skip


def _context_screen(results: Results) -> DecisionScreen:
    across = failures_section(results)
    seen = across["seen"] if across else None
    effects = [one for one in (seen.effects if seen else ()) if one.remedy in CONTEXT_CAUSES]
    tried = [one for one in effects if one.contrast is not None]
    acts = [one for one in tried if one.acts]
    answer = "shown" if acts else "not shown" if tried else "not measured"
    why = seen.because if seen else "no examples and no passages ran beside a placebo"
    said = [one.because for one in effects if one.because and not one.acts]
    return DecisionScreen(
        name="context", part="Before anything is trained",
        question="Would more context fix it?",
        meaning="Examples and passages in the prompt are arms like the others, on the same cases.",
        answer=answer, tone="yes" if acts else "soft",
        rows=tuple(_effect_row(one) for one in tried),
        because=tuple(dict.fromkeys(said)) if tried else (why,) if why else (),
        **({} if tried else _command_for_more(results)),
    )  # fmt: skip


def _effect_row(one: Effect) -> tuple[str, str, str]:
    assert one.contrast is not None  # chosen by the caller
    ends = f"{words.signed(one.contrast.low)} … {words.signed(one.contrast.high)}"
    number = f"{words.signed(one.contrast.mean)} ({ends}) points beyond the placebo"
    return f"{one.name} ({one.remedy})", number, f"n {one.n_fail:,}"


def _success_screen(results: Results) -> DecisionScreen:
    success, named = results.task.success, words.arm_named(results)
    met = results.verdict.target_met
    answer = {True: "yes", False: "no", None: "not shown"}[met]
    if success.target is None:
        answer = "not measured"
    metric, margin = success.metric or "inferred from the rows", words.points(success.margin)
    because = [f"The metric is {metric}; a difference of {margin} points is worth having."]
    if success.target is None:
        because.append("No target was set: whether it is good enough is yours to say.")
    else:
        because.append(words.target_line(results.verdict, success.target).capitalize() + ".")
    rows = (
        [(bound, state, "") for bound, state in words.limit_lines(named, results)] if named else []
    )
    if named and named.score:
        rows.insert(0, (named.name, _score_text(named.score), f"n {named.n:,}"))
    return DecisionScreen(
        name="success", part="Before anything is trained",
        question="What would success look like?",
        meaning="Metric, target and limits are written down and hashed before the first arm runs.",
        answer=answer, tone={"yes": "yes", "no": "no"}.get(answer, "soft"),
        because=tuple(because), rows=tuple(rows),
        **({} if success.target is not None
           else {"command": "tuneworthy run", "yaml": "success:\n  target: 0.9  # yours"}),
    )  # fmt: skip


def _score_text(score: Interval) -> str:
    return f"{words.score(score.mean)} ({words.score(score.low)} to {words.score(score.high)})"


def _question_screens(results: Results) -> Iterator[DecisionScreen]:
    asked = questions_section(results)
    found = {one.name: one for one in results.verdict.questions}
    for row in (*asked["five"], *asked["others"]):
        measured = row["answer"] != "not_measured"
        open_ = (
            {}
            if measured
            else _how_to_measure(results, f"{found[row['name']].because} {row['next']}")
        )
        yield DecisionScreen(
            name=row["name"],
            part="The five-question checklist" if row["name"] in CHECKLIST else "Four more",
            question=row["question"], answer=row["answer"].replace("_", " "), tone=row["tone"],
            number=row["number"], because=tuple(filter(None, (row["wrong"], row["because"] + "."))),
            prior=row["prior"] or "", next=row["next"], **open_,
        )  # fmt: skip


def _how_to_measure(results: Results, text: str) -> dict[str, Any]:
    """Return the command that measures what the reason `text` lacks, and keys of task.yaml."""
    if named := _COMMAND.search(text):
        return {"command": named[1]}
    if keys := list(dict.fromkeys(key for key in _TASK_KEY.findall(text) if _is_task_key(key))):
        return {"command": "tuneworthy run", "yaml": _yaml_lines(keys)}
    if "settle" in text:
        return {"command": "tuneworthy settle"}
    if "too small" in text or "at the threshold" in text:
        return {"command": "tuneworthy run"}
    return _command_for_more(results)


def _is_task_key(text: str) -> bool:
    """Return whether a word of a reason is a key of task.yaml: `economics.prices`, `bigger`."""
    first, *more = text.split(".")
    return first in Task.model_fields and (bool(more) or first in ("bigger", "teacher"))


def _yaml_lines(keys: list[str]) -> str:
    """Return YAML lines with each of the dotted keys and `…` as its value."""
    lines: list[str] = []
    for key in keys:
        *parents, last = key.split(".")
        above = [f"{'  ' * at}{name}:" for at, name in enumerate(parents)]
        lines += [line for line in above if line not in lines]
        lines.append(f"{'  ' * len(parents)}{last}: …")
    return "\n".join(lines)


def _command_for_more(results: Results) -> dict[str, Any]:
    """Return the command (and YAML) that measures what the budget's minutes left out.

    It is the verdict's own next step where that raises the minutes: one study names one number.
    """
    step = results.verdict.next
    if step.do == "raise budget.minutes" and (named := _COMMAND.search(step.why)):
        return {"command": named[1]}
    plan, budget = results.plan, results.task.budget.minutes
    if plan.whole is None:
        chosen = results.task.arms != "auto"
        return {"command": "tuneworthy run", **({"yaml": "arms: auto"} if chosen else {})}
    if plan.staged:
        return {"command": f"tuneworthy run --more {max(1, ceil(plan.whole - budget))}m"}
    return {"command": "tuneworthy run", "yaml": f"budget:\n  minutes: {ceil(plan.whole)}"}
