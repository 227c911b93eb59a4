"""Give the reason for each null of a verdict, and a finding for each question not asked. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuneworthy.explain.questions import in_order
from tuneworthy.records.evidence import ArmResult, Policy
from tuneworthy.records.plugins import load
from tuneworthy.records.verdict import Finding
from tuneworthy.verdict.phrases import NO_END_KNOWN, SET_VALUE, SET_VOLUME

NO_TARGET = "no target was set"
_ARM_REASONS = {
    "tool": "no tool was given for it, so it can't be named",
    "seed": "nothing was drawn with a seed",
    "score": "no case was scored",
    "valid": "validity was not measured",
    "latency_ms": "not timed",
    "tokens": "tokens were not counted",
    "usd_per_1k": "no price is known",
    "fit_seconds": "nothing was fitted",
}
_STEP_REASONS = {
    "rows": "this step is not counted in rows",
    "clicks": "this step is not counted in clicks",
    "usd": "no price is known for this step (key economics.label_each)",
    "minutes": "this step is not counted in minutes of a machine",
    "command": "a person decides here: no command does it",
    "edit": "no key of task.yaml must change first",
}
_COST_REASONS = {
    "requests_per_month": SET_VOLUME,
    "value_of_correct": SET_VALUE,
    "expires": NO_END_KNOWN,
}


def reasons_for_nulls(
    plain: Mapping[str, Any], arms: Mapping[str, ArmResult], known: Mapping[str, str]
) -> dict[str, str]:
    """Return {JSON pointer: reason} for every null; `known` holds the rule's own reasons."""
    out = {}
    for path in null_paths(plain):
        pointer = json_pointer(path)
        out[pointer] = known.get(pointer) or _reason_for_null(plain, path, arms)
    return out


def json_pointer(path: tuple[str | int, ...]) -> str:
    """Return the JSON pointer (RFC 6901) of a path of keys: ("arms", 0, "seed") is /arms/0/seed."""
    return "/" + "/".join(str(p).replace("~", "~0").replace("/", "~1") for p in path)


def null_paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path (keys and list positions) of every None inside nested dicts and lists."""
    if value is None:
        yield path
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from null_paths(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from null_paths(inner, (*path, number))


def _reason_for_null(
    plain: Mapping[str, Any], path: tuple[str | int, ...], arms: Mapping[str, ArmResult]
) -> str:
    top, last = path[0], str(path[-1])
    if top == "arms":
        return _reason_for_arm_null(plain["arms"][path[1]], path[2:], arms)
    if top == "questions":
        finding = plain["questions"][path[1]]
        return "there is no such prior" if last == "prior" else finding["because"]
    if top == "next":
        return _STEP_REASONS[last]
    if last == "arm":
        return "no arm is named here"
    if top == "wrong" and last == "placebo":
        found = plain["wrong"][path[1]]["arm"]
        return "its remedy has no placebo" if found else "no remedy stands behind this cause"
    if top == "changes" and len(path) > 3:
        own = plain["changes"]["arms"][path[2]]["missing"]
        return own.get(str(path[3])) or _CHANGE_REASONS.get(last, "it was not recorded")
    if top == "economics":
        return _COST_REASONS.get(last, _SECTION_REASONS["economics"])
    return _SECTION_REASONS.get(str(top), "not measured")


_CHANGE_REASONS = {
    "effective_rank": "nothing changed in this layer",
    "score_before": "this answer has no score",
    "score_after": "this answer has no score",
    "fold": "the rows have one split",
    "temperature": "only the words of the prompt were changed",
}
_SECTION_REASONS = {
    "seconds": "the time of the units was not handed in",
    "changes": "no arm was trained here",
    "wrong": "no arm shows this cause",
    "economics": "no prices (keys under economics)",
}


def _reason_for_arm_null(
    shown: Mapping[str, Any], rest: tuple[str | int, ...], arms: Mapping[str, ArmResult]
) -> str:
    key = str(rest[0])
    if key == "options":
        return "this option is not set"
    arm = arms[shown["name"]]
    if why := arm.missing.get(".".join(map(str, rest))):
        return why
    if arm.state != "measured" and key not in ("tool", "seed"):
        return str(arm.because or f"the arm was {arm.state}")
    if key == "tool" and arm.role != "candidate":
        return f"a {arm.role} is no tool"
    return "too few were timed" if len(rest) > 1 else _ARM_REASONS[key]


QUESTIONS_NOT_ASKED = "not measured (the questions are asked at the end of a study)"


def complete_findings(findings: Sequence[Finding], policy: Policy) -> tuple[Finding, ...]:
    """Return a finding per question in order ("not_measured" if not asked), then all others."""
    given = {finding.name: finding for finding in findings}
    names = in_order()
    listed = [given.get(name) or _unmeasured_finding(name, policy) for name in names]
    return (*listed, *(finding for finding in findings if finding.name not in names))


def _unmeasured_finding(name: str, policy: Policy) -> Finding:
    because, step = QUESTIONS_NOT_ASKED, "finish the study"
    if name == "economics" and (keys := _unset_price_keys(policy)):
        because = f"not measured (task.yaml lacks {', '.join(keys)})"
        step = f"write down {' and '.join(keys)}"
    prior: str | None = load("questions", name).PRIOR
    return Finding(name=name, answer="not_measured", because=because, next=step, prior=prior)


def _unset_price_keys(policy: Policy) -> list[str]:
    keys = ("requests_per_month", "value_of_correct")
    return [f"economics.{key}" for key in keys if getattr(policy, key) is None]
