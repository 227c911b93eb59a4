"""The catalogue of phrases on a verdict: tools, headlines, limits, causes, and how numbers read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tuneworthy.records.arm import RETRY_TOKEN_FACTOR
from tuneworthy.records.counting import (
    Bounded,
    count_noun,
    percent,
    points,
    score_text,
    tenths,
)
from tuneworthy.records.escape import quoted, visible
from tuneworthy.records.evidence import ArmResult, TruncatedAnswers
from tuneworthy.records.reason import Why, is_reason
from tuneworthy.records.task import Task
from tuneworthy.records.verdict import Finding, Next, Standing, Verdict

NOT_MEASURED = "not measured"
UNKNOWN = "no reason was recorded"
_HEADLINES = {
    "tune": "Fine-tune.",
    "distil": "Distil a teacher.",
    "keep": "Keep what runs today.",
    "other": "A recorded system.",
    "none": "Nothing beats the reference.",
}
_UNSHOWN_HEADLINES = {
    "none": "Nothing is shown to beat the reference.",
    "other": "A recorded system, for now.",
}
TOOLS: dict[str, tuple[str, str]] = {
    "keep": ("what runs today", "What runs today"),
    "classifier": (
        "a plain classifier",
        "A small classifier trained on your rows, no language model",
    ),
    "prompt": ("a prompt", "The model as it is, asked with this prompt"),
    "schema": ("a schema on the answer", "The model as it is, its answers held to your form"),
    "context": ("documents in the prompt", "The model as it is, given passages of your documents"),
    "bigger": ("a bigger model", "The larger model, asked with a prompt chosen for it"),
    "tune": ("a tuned model", "The model trained on your examples"),
    "distil": ("a distilled model", "A small model trained on a larger one's answers"),
    "other": ("a recorded system", "Its recorded answers"),
}
"""By tool: its name in a sentence, and what its arms do. `other`: a system of unknown tool."""
_LIMIT_TEXTS = {
    "valid": "valid ≥ {}",
    "p95_ms": "p95 ≤ {} ms",
    "general_drop": "general drop ≤ {}",
    "context_faithful": "faithful to context ≥ {}",
    "local_only": "local only",
    "floor": "score ≥ {}",
    "wrong_at_most": "wrong ≤ {}",
}
_RARE_SHARE = 0.1  # a larger share of scores of 0 is not mentioned: the mean shows it
CAUSE_CLAUSES = {
    "metric": "were right, only the metric refused them",
    "format": "were the format",
    "convention": "were a convention that the prompt does not state",
    "knowledge": "lacked knowledge that a passage holds",
    "retrieval": "had a passage that is not found",
    "reading": "had their passage and could not be read out of it",
    "latent": "are right in some of several samples",
    "capability": "need a more capable model",
    "learnable": "can be learnt from your examples",
    "label": "have a right answer that your other rows contradict (the same or a near input has"
    " another one)",
    "hard": "are hard for this model: no remedy tried on it is shown to rescue them",
    "chance": "pass with a remedy and with its placebo too: that may be chance",
    "untried": "were not tried far enough to have a cause",
}
CAUSE_TITLES = {"chance": "may be chance", "untried": "not tried"}
_SHORT_QUESTIONS = {
    "prompt_exhausted": "prompts exhausted",
    "behaviour_not_facts": "behaviour rather than facts",
    "knowledge_still": "stable knowledge",
}
_UNIT_FORMATS = {
    "rows": (1.0, "rows", "{:,.0f}"),
    "points": (100.0, "points", "{:.1f}"),
    "share": (100.0, "%", "{:.1f}"),
    "days": (1.0, "days", "{:,.0f}"),
    "chance": (1.0, "", "chance {:.2f}"),
}
NO_END_KNOWN = "no announced end is known of the model that it stands on"
SET_VOLUME = "set economics.requests_per_month"
SET_VALUE = "set economics.value_of_correct"


def headline(use: str, status: str, compared: bool = True) -> str:
    """Return the verdict's first sentence: `Fine-tune.`, `Don't fine-tune yet.`, `No verdict.`

    `compared`: how much may be left is known, so that an arm or a reference was compared with.
    """
    if status == "blocked":
        return "No verdict."
    if use == "none" and not compared:
        return "No arm can be named."
    if status == "provisional" and use in _UNSHOWN_HEADLINES:
        return _UNSHOWN_HEADLINES[use]
    return _HEADLINES.get(use, "Don't fine-tune yet.")


def headline_and_arm(verdict: Verdict, gap: str = " ") -> str:
    """Return the first sentence and the arm: `Don't fine-tune yet. Use: few_shot`."""
    head = headline(verdict.use, verdict.status, verdict.left_on_table is not None)
    return f"{head}{gap}Use: {verdict.arm}" if verdict.arm else head


def ticked(arm: ArmResult) -> str:
    """Return an arm's name for a sentence: in backticks, at most 60 characters."""
    return f"`{quoted(arm.name, 60)}`"


def tool_with_name(arm: ArmResult) -> str:
    """Return an arm's kind with its name, such as "a tuned model (`lora`)"."""
    return f"{TOOLS[arm.tool or 'other'][0]} ({ticked(arm)})"


def as_sentence(text: str) -> str:
    """Return a note as a sentence: with a capital letter, and a full stop if none ends it.

    The name of a file or a column at its start stays as it is.
    """
    word = text.partition(" ")[0]
    head = text if any(mark in word for mark in "._/`") else text[:1].upper() + text[1:]
    return head + ("" if text.endswith(("?", ".")) else ".")


def cut_answers_clause(arm: ArmResult, cut: TruncatedAnswers) -> str:
    """Return a sentence: what the token limit may have cost an arm, and what retries gained."""
    again = (
        f" (asked again with {RETRY_TOKEN_FACTOR} times the tokens, {cut.gained:,} of {cut.asked:,}"
        " scored higher)"
    )
    return (
        f"The token limit ended {cut.n:,} of {arm.n:,} answers of {ticked(arm)}, which may have"
        f" cost it {points(cut.gain)}{again if cut.asked else ''}"
    )


def because_of(arm: ArmResult) -> str:
    """Return why an arm has no score as text: `skipped: no time`, its state and the reason."""
    return f"{arm.state}: {arm.because or UNKNOWN}"


def limit_text(name: str, value: Any) -> str:
    """Return a limit by its key as text: `p95 ≤ 900 ms`; the bound is ? if no number."""
    shown = "?"
    if isinstance(value, int | float):
        shown = f"{value:,.0f}" if value >= 2 else score_text(float(value))
    return _LIMIT_TEXTS[name].replace("{}", shown) if name in _LIMIT_TEXTS else visible(name)


def violated_limits(arm: ArmResult) -> str:
    """Return the names of the limits that an arm violates: `valid, floor`; or ""."""
    return ", ".join(name for name, state in arm.limits.items() if state == "violated")


def target_line(verdict: Verdict, target: float) -> str:
    """Return whether the target is met, missed, or neither is shown: `target .90 met`."""
    states = {True: "met", False: "missed", None: "neither shown met nor missed"}
    return f"target {score_text(target)} {states[verdict.target_met]}"


def score_name(task: Task) -> str:
    """Return what a score of the task is: "valid" without right answers, "answered", or "score"."""
    if task.lacks_answers:
        return "valid"
    return "score" if task.success.wrong_at_most is None else "answered"


def sure_sentence(arm: ArmResult | None) -> str:
    """Return what an arm answers under `wrong_at_most`, and from which probability on; or ""."""
    if arm is None or (sure := arm.sure) is None:
        return ""
    return (
        f"{ticked(arm)} {sure.text}: it answers from a probability of {sure.threshold:.3g} on and"
        " hands over the rest. Points are shares of rows answered."
    )


def may_answer_sentence(arm: ArmResult | None) -> str:
    """Return the sentence on an arm that may answer more rows than these can show; or ""."""
    if arm is None or arm.possible is None:
        return ""
    return (
        f"{ticked(arm)} may answer {percent(arm.possible)} of the rows: so many are right often"
        " enough so far, and these rows are too few to show it."
    )


def no_threshold_sentence(limit: float) -> str:
    """Return the sentence that no arm answers any rows with so few wrong."""
    return (
        "no arm is shown to answer any share of rows like these with at most"
        f" {percent(limit)} wrong, however sure it has to be."
    )


def zero_scores_sentence(arm: ArmResult | None) -> str:
    """State how often the named arm may score 0, if scores are graded and zeros rare; or ""."""
    if arm is None or arm.lost is None or arm.lost.mean > _RARE_SHARE:
        return ""
    zeros = round(arm.lost.mean * arm.n)
    return (
        f"{ticked(arm)} scored 0 in {zeros:,} of {arm.n:,} rows: of rows like these up to"
        f" {100 * arm.lost.high:.2g} % may (95 % sure)."
    )


def signed(value: float) -> str:
    """Return a difference in points with its sign: `+2`, `−2.5`, `0`."""
    text = tenths(value)
    return text if text.startswith("−") or text == "0" else f"+{text}"


def span(found: Bounded) -> str:
    """Return a difference with its bounds: `+2 (−2.5 … +7.2)`."""
    return f"{signed(found.mean)} ({signed(found.low)} … {signed(found.high)})"


def score_with_bounds(found: Bounded) -> str:
    """Return a score with its bounds: `.88 (.83 to .92)`."""
    return f"{score_text(found.mean)} ({bounds_text(found)})"


def bounds_text(found: Bounded) -> str:
    """Return the bounds of a score: `.83 to .92`."""
    return f"{score_text(found.low)} to {score_text(found.high)}"


def bounds_path(bounds: Sequence[float]) -> str:
    """Return the first and the last three bounds of what may be left, in points: `11 → 9`."""
    ends = [tenths(bound) for bound in bounds]
    kept = [end for at, end in enumerate(ends) if not at or end != ends[at - 1]]
    return " → ".join(kept if len(kept) <= 4 else [kept[0], *kept[-3:]])


def verdict_so_far(use: str, arm: str | None, left: float | None) -> str:
    """Return the verdict so far: `if you stopped now: KEEP (now), at most 9 points may be left`."""
    if not use:
        return "if you stopped now: no verdict yet"
    named = f"{use.upper()} ({arm})" if arm else use
    bound = "what it leaves is not known yet"
    if left is not None:
        bound = f"at most {tenths(left)} points may be left"
    return f"if you stopped now: {named}, {bound}"


def moment_line(moment: str, standing: Standing, then: str, seconds: float) -> str:
    """Return what would be named after so many seconds, its score, and what comes `then`."""
    said = verdict_so_far(standing.use, standing.arm, standing.left)
    arm = next((one for one in standing.arms if one.name == standing.arm), None)
    score = ""
    if arm is not None and arm.score is not None:
        one = arm.score
        score = f"; it scores {one.mean:.2f} ({one.low:.2f} to {one.high:.2f}, n {arm.n})"
    return f"{moment} after {duration(seconds)}: {said}{score}{then and f'; {then}'}"


def amount(value: float) -> str:
    """Return a positive amount with two or three digits: `549,000`, `2.60`, `0.031`."""
    if value == 0:
        return "0"
    if value >= 1000:
        return f"{round(value, 3 - len(str(int(value)))):,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 0.1:
        return f"{value:.2f}"
    return f"{value:.{min(1 - math.floor(math.log10(value)), 9)}f}"


def duration(seconds: float) -> str:
    """Return seconds in a readable unit: `840 ms`, `2.1 s`, `7 min`, `3.2 h`."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def confidence(level: float) -> str:
    """Return a confidence level in per cent (`95 %`), given the level (.95) or the error (.05)."""
    return f"{100 * (level if level > 0.5 else 1 - level):.4g} %"


def finding_quantity(found: Finding, unit: str) -> str:
    """Return a finding's number with unit and bounds: `180 rows (120 to 260)`; or ""."""
    if found.value is None:
        return ""
    scale, noun, of = _UNIT_FORMATS.get(unit, (1.0, "", "{:.3g}"))
    value, low, high = (
        None if end is None else of.format(scale * end).removesuffix(".0").replace("-", "−")
        for end in (found.value, found.low, found.high)
    )
    noun = noun.removesuffix("s") if value == "1" else noun
    ends = f" ({low} to {high})" if low and high else ""
    return f"{value} {noun}".strip() + ends


def short_question(name: str) -> str:
    """Return a question's key as two or three words: `prompts exhausted`."""
    return _SHORT_QUESTIONS.get(name, name.replace("_", " "))


def price_of_next_step(step: Next) -> str:
    """Return what a next step costs: `about 71 clicks`, `12 minutes`, `$1.20`."""
    sizes = [
        f"about {count_noun(step.clicks, 'click')}" if step.clicks is not None else "",
        count_noun(step.rows, "row") if step.rows is not None else "",
        count_noun(step.minutes, "minute") if step.minutes is not None else "",
        f"${amount(step.usd)}" if step.usd else "",
    ]
    return ", ".join(size for size in sizes if size)


def any_stopped(arms: Sequence[ArmResult]) -> bool:
    """Return whether the run was stopped before one of these arms, or before all of its rows."""
    return any(is_reason(arm.because, Why.STOPPED) for arm in arms)


def why_short(arms: Sequence[ArmResult]) -> str:
    """Return the beginning of a clause on why arms were not measured; a verb follows it."""
    stopped = any_stopped(arms)
    return "the run was stopped before it could" if stopped else "the minutes had no room to"
