"""Report lines on distilled students: four columns, agreement with the teacher, pairs, spend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tuneworthy.core.arm import Role
from tuneworthy.core.counting import score_text
from tuneworthy.core.evidence import ArmResult
from tuneworthy.core.results import Results
from tuneworthy.core.run import Run, Spec
from tuneworthy.verdict import phrases

SpecFilter = Callable[[Spec], bool]
_TRAINING_OPTIONS = (
    "epochs",
    "rank",
    "alpha",
    "rate",
    "rows",
)  # options that a student and its seed student share
_CEILING_ROLE: Role = "ceiling"


def student_lines(results: Results) -> list[dict[str, Any]]:
    """Return for each student that was trained on a teacher: `name`, `columns` and `lines`.

    `columns` are (what, arm, score or why there is none): the teacher, the distilled student, the
    untouched student, and the seed student, which learnt the task's own labels alone. Agreement
    with the teacher is a line of its own: it is no quality.
    """
    taught: dict[str, list[Run]] = {}
    for run in results.runs:
        if run.spec.tool == "distil" and run.trace and "distilled" in run.trace:
            taught.setdefault(run.spec.name, []).append(run)
    return [
        {"name": name, "columns": _score_columns(results, runs[0].spec), "lines": _note_lines(runs)}
        for name, runs in taught.items()
    ]


def student_texts(results: Results) -> list[str]:
    """Return two texts per student: its columns, and its agreement with the teacher."""
    out = []
    for student in student_lines(results):
        columns = " · ".join(f"{what} {value}" for what, _, value in student["columns"])
        out += [f"{student['name']}: {columns}.", student["lines"][0]]
    return out


def _score_columns(results: Results, spec: Spec) -> list[tuple[str, str, str]]:
    own = spec.options
    student = own.get("student", "tune")

    def same(other: Spec, learns: str, keys: Sequence[str]) -> bool:
        given = other.options
        alike = all(given.get(key) == own.get(key) for key in ("student", "every", *keys))
        return other.arm == spec.arm and given.get("learns") == learns and alike

    simple = {"tune": "lora", "classifier": "tfidf"}.get(student, "")
    if student == "classifier" and own.get("head") == "vectors":
        simple = "embedding_head"
    long = {arm.name for arm in results.evidence.arms if arm.tool == "prompt" and arm.finalist}
    itself = spec.arm == "prompt_distil"  # its teacher is the best prompt of the same model
    wanted: list[tuple[str, list[SpecFilter]]] = [
        ("teacher", [lambda s: itself and s.name in long,
                     lambda s: not itself and s.role == _CEILING_ROLE and s.arm == "teacher"]),
        ("distilled student", [lambda s: s.name == spec.name]),
        ("untouched student", [lambda s: same(s, "nothing", ()),
                               lambda s: student == "tune" and s.arm == "zero_shot"]),
        ("seed student (your own labels alone)", [lambda s: same(s, "own", _TRAINING_OPTIONS),
                                                  lambda s: s.arm == simple]),
    ]  # fmt: skip
    specs = {run.spec.name: run.spec for run in results.runs}
    arms = {arm.name: arm for arm in results.evidence.arms}
    found = []
    for what, tests in wanted:
        names = [name for test in tests for name, one in specs.items() if test(one)]
        arm = next((arms[name] for name in names if name in arms), None)
        found.append((what, arm.name if arm else "", _score_text(arm)))
    return found


def _score_text(arm: ArmResult | None) -> str:
    if arm is None or arm.score is None:
        why = arm.because if arm else None
        return "not measured" + (f" ({why})" if why else "")
    ends = f"{score_text(arm.score.low)} to {score_text(arm.score.high)}"
    return f"{score_text(arm.score.mean)} ({ends})"


def _note_lines(runs: Sequence[Run]) -> list[str]:
    """Return lines on a student: agreement with its teacher, pairs kept, cost, prompt lengths."""
    fits = [run.trace["distilled"] for run in runs if run.trace]
    lines = [_agreement_line(fits)]
    if len(fits[0]["curve"]) > 1:
        points = [f"{_agreement_share(point)} with {point['rows']:,}" for point in fits[0]["curve"]]
        lines.append(f"Agreement by teacher rows, first fit: {', '.join(points)}.")
    pairs = fits[0]["pairs"]
    left = "; ".join(f"{count:,}: {why}" for why, count in pairs["rejected"].items())
    lines.append(
        f"{fits[0]['teacher']} wrote {pairs['written']:,} answers to {pairs['inputs']:,} inputs, "
        f"{pairs['kept']:,} are kept" + (f" (rejected: {left})." if left else ".")
    )
    if pairs["usd"] is not None:
        lines.append(f"These answers cost ${phrases.amount(pairs['usd'])}, once for all fits.")
    long, short = (fits[0]["prompt_tokens"][side] for side in ("teacher", "student"))
    if long and short:
        lines.append(f"Prompt tokens a request: {long:,.0f} for the teacher, {short:,.0f} after.")
    return lines


def _agreement_line(fits: Sequence[dict[str, Any]]) -> str:
    known = [one["agreement"] for one in fits if one["agreement"]["agree"] is not None]
    if not known:
        return "Agreement with the teacher: not measured, too few of its rows were held back."
    agree, of = (sum(one[key] for one in known) for key in ("agree", "of"))
    return (
        f"Agreement with the teacher (no quality: a teacher may err): {agree:,} of {of:,} inputs "
        "held back."
    )


def _agreement_share(point: dict[str, Any]) -> str:
    return "not measured" if point["agree"] is None else f"{point['agree']} of {point['of']}"
