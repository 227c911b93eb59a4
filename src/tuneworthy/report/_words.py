"""Sentences and number formats shared by terminal and page. Computes no statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tuneworthy.core.answer_files import recorded_files
from tuneworthy.core.counting import score_text
from tuneworthy.core.escape import visible
from tuneworthy.core.evidence import ArmResult, Interval, Pair, TruncatedAnswers
from tuneworthy.core.finding import Finding
from tuneworthy.core.results import Results
from tuneworthy.core.task import TOOLS, TRAINED_TOOLS
from tuneworthy.core.verdict import Next, Verdict
from tuneworthy.questions import CHECKLIST
from tuneworthy.report._time import bounds_hold
from tuneworthy.verdict.prices import keys_lacking

BLOCKED_HEADLINE = "No verdict."
HEADLINES = {
    "tune": "Fine-tune.",
    "distil": "Distil a teacher.",
    "keep": "Keep what runs today.",
    "other": "A recorded system.",
    "none": "Nothing beats the reference.",
}
UNSHOWN_HEADLINES = {
    "none": "Nothing is shown to beat the reference.",
    "other": "A recorded system, for now.",
}
TOOL_NAMES = {
    "keep": "What runs today",
    "classifier": "A plain classifier",
    "prompt": "A better prompt",
    "schema": "A schema",
    "context": "More context",
    "bigger": "A bigger model",
    "tune": "A tuned model",
    "distil": "A distilled model",
}
TOOL_MEANINGS = {
    "keep": "What runs today",
    "classifier": "A small classifier trained on your rows, no language model",
    "prompt": "The model as it is, asked with this prompt",
    "schema": "The model as it is, its answers held to your form",
    "context": "The model as it is, given passages of your documents",
    "bigger": "The larger model, asked with a prompt chosen for it",
    "tune": "The model trained on your examples",
    "distil": "A small model trained on a larger one's answers",
    "other": "Its recorded answers",
}
UNIT_FORMATS = {
    "rows": (1.0, "rows", "{:,.0f}"),
    "points": (100.0, "points", "{:.1f}"),
    "share": (100.0, "%", "{:.1f}"),
    "days": (1.0, "days", "{:,.0f}"),
    "chance": (1.0, "", "chance {:.2f}"),
}
SHORT_QUESTIONS = {
    "prompt_exhausted": "prompts exhausted",
    "behaviour_not_facts": "behaviour rather than facts",
    "knowledge_still": "stable knowledge",
}
UNKNOWN = "no reason was recorded"
NO_ACTION = {"few", "chance", "untried", "hard"}  # classes of failures that name no repair


def headline(use: str, status: str) -> str:
    """Return the verdict's first sentence: `Fine-tune.`, or a weaker one if it is provisional."""
    if status == "blocked":
        return BLOCKED_HEADLINE
    if status == "provisional" and use in UNSHOWN_HEADLINES:
        return UNSHOWN_HEADLINES[use]
    return HEADLINES.get(use, "Don't fine-tune yet.")


def points(value: float) -> str:
    """Return score points (of 100), with one decimal if it is not 0: `7.2`, `2`."""
    text = f"{abs(100 * value):.1f}".removesuffix(".0")
    return f"−{text}" if value < 0 and text != "0" else text


def signed(value: float) -> str:
    """Return a difference in points with its sign: `+2`, `−2.5`, `0`."""
    return text if (text := points(value)).startswith("−") or text == "0" else f"+{text}"


def span(pair: Pair | Interval) -> str:
    """Return a difference with its bounds: `+2 (−2.5 … +7.2)`."""
    return f"{signed(pair.mean)} ({signed(pair.low)} … {signed(pair.high)})"


score = score_text


def wide_line(arm: ArmResult) -> str:
    """Return how much wider an arm's interval is than for independent rows, and why; or ""."""
    first, *reasons = arm.wide or ("",)
    return f"{first}{': ' if reasons else ''}{'; '.join(reasons)}"


def unanswered_line(arm: ArmResult) -> str:
    """Return how many of an arm's cases are unanswered, and its score if all were right."""
    most, known = arm.score_if_right, arm.score is not None
    tells = known and most is not None and score(most) != score(arm.score.mean if arm.score else 0)
    most_text = f" ({score(most or 0.0)} at most if right)" if tells else ""
    return f"{arm.errors:,} of {arm.n:,} unanswered: counted as wrong{most_text}"


def cut_line(cut: TruncatedAnswers, n: int) -> str:
    """Return how many answers the token limit ended, and the points this may have cost."""
    lost = f"which cost it at most {points(cut.gain)} points"
    return f"{cut.n:,} of {n:,} answers cut by the token limit, {lost}"


def amount(value: float) -> str:
    """Return a positive amount with two or three digits: `549,000`, `2.60`, `0.031`."""
    if value == 0:
        return "0"
    if value >= 1000:
        digits = 3 - len(str(int(value)))
        return f"{round(value, digits):,.0f}"
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
    scale, noun, of = UNIT_FORMATS.get(unit, (1.0, "", "{:.3g}"))
    value, low, high = (
        None if end is None else of.format(scale * end).removesuffix(".0").replace("-", "−")
        for end in (found.value, found.low, found.high)
    )
    noun = noun.removesuffix("s") if value == "1" else noun
    ends = f" ({low} to {high})" if low and high else ""
    return f"{value} {noun}".strip() + ends


def checklist_summary(verdict: Verdict) -> str:
    """Return the checklist's answers in a line: `1 yes (evaluation), 4 not measured (…)`; or ""."""
    by_name = {found.name: found for found in verdict.questions}
    five = [by_name[name] for name in CHECKLIST if name in by_name]
    parts = []
    for answer in ("yes", "no", "not_measured"):
        names = [short_question(found.name) for found in five if found.answer == answer]
        count = f"{len(names)} {answer.replace('_', ' ')}"
        parts += [f"{count} ({', '.join(names)})"] if names else []
    return ", ".join(parts) if any(found.answer != "not_measured" for found in five) else ""


def short_question(name: str) -> str:
    """Return a question of the checklist in two or three words."""
    return SHORT_QUESTIONS.get(name, name.replace("_", " "))


def counted(n: int, one: str, many: str = "") -> str:
    """Return a count with its noun: `1 row`, `1,250 rows`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def options_text(values: Mapping[str, Any]) -> str:
    """Return in one line the options that tell arms apart: `k=8`.

    Other options are in the arm's name (if the user set them) and in verdict.json.
    """
    return ", ".join(f"{key}={value}" for key, value in values.items() if key == "k")


def ladder_order(arms: tuple[ArmResult, ...]) -> list[ArmResult]:
    """Return the arms by rung: references, tools, arms without a tool, ceilings, placebos."""
    roles = {"reference": 0, "candidate": 1, "ceiling": 2, "placebo": 3}

    def key(arm: ArmResult) -> tuple[int, int, int]:
        tool = TOOLS.index(arm.tool) if arm.tool else len(TOOLS)
        return roles[arm.role], tool, arm.simplicity

    return sorted(arms, key=key)


def on_ladder(arm: ArmResult) -> bool:
    """Return whether an arm belongs on the ladder; arms run only for the diagnosis do not."""
    return arm.role != "placebo" and (arm.role == "candidate" or arm.state != "stopped_early")


def arm_named(results: Results) -> ArmResult | None:
    """Return the arm that the verdict names, if any."""
    return next((a for a in results.evidence.arms if a.name == results.verdict.arm), None)


def differences_to_named(results: Results) -> list[Pair]:
    """Return each compared arm's difference to the named arm (without one, to the references)."""
    compared = {a.name for a in results.evidence.arms if a.competes}
    references = {a.name for a in results.evidence.arms if a.role == "reference"}
    against = {results.verdict.arm} if results.verdict.arm else references
    pairs = [p for p in results.evidence.pairs if p.versus in against and p.arm in compared]
    return sorted(pairs, key=lambda pair: -pair.high)


def use_line(results: Results) -> str:
    """Return `Use: ARM (tool)`, or why no arm is named."""
    verdict, arm = results.verdict, arm_named(results)
    if verdict.status == "blocked":
        return visible("; ".join(results.evidence.blocks) or verdict.because)
    if arm is None:
        return f"Use: {visible(verdict.arm)}" if verdict.arm else "No arm is named."
    alone = verdict.left_on_table is None and not differences_to_named(results)
    only = ", the only arm that was measured" if alone else ""
    return f"Use: {visible(arm.name)} ({arm.tool or 'recorded answers'}){only}"


def scored_line(results: Results) -> str:
    """Return a sentence on the named arm's kind and score on rows like these; or ""."""
    arm = arm_named(results)
    if arm is None or arm.score is None or results.verdict.status == "blocked":
        return ""
    low, mean, high = (f"{100 * v:.0f}" for v in (arm.score.low, arm.score.mean, arm.score.high))
    fitted = f", fitted on {arm.rows_learnt}" if arm.rows_learnt else ""
    sure = f"rows like these (95 % sure: {low} to {high})" if bounds_hold(results) else "these rows"
    said = f"{mean} of 100 points on {sure}"
    return f"{TOOL_MEANINGS[arm.tool or 'other']}: {said}{fitted}."


def status_line(results: Results) -> str:
    """Return status, rows of the named arm (else of the arm with most) and looks."""
    arm, n = arm_named(results), results.evidence.n
    scored = arm.n if arm else max((one.n for one in results.evidence.arms), default=n)
    rows = f"{scored:,} of {counted(n, 'row')}" if 0 < scored < n else counted(n, "row")
    look = f" · look {results.verdict.looks}" if results.verdict.looks > 1 else ""
    look = f" · locked rows{look or ' · look 1'}" if results.evidence.locked else look
    stamp = " · NOT A VERDICT (limited run)" if results.evidence.limited else ""
    return f"{results.verdict.status} · {rows}{look}{stamp}"


def unrun_line(results: Results) -> str:
    """Return the sentence that no prompt or tuned model was run, and their greatest gain; or "".

    "" if a recorded system of unknown tool was measured: it may be either.
    """
    if results.verdict.status == "blocked":
        return ""
    logged = recorded_files(results.task)
    measured = [a for a in results.evidence.arms if a.score and a.role == "candidate"]
    today = {a.name for a in measured if (a.present or a.tool == "keep") and a.name in logged}
    if not measured or any(a.tool != "classifier" and a.name not in today for a in measured):
        return ""
    arm, could = arm_named(results), ""
    why = _why_untrained(results, lacking=False)  # the screen lists missing keys and packages below
    if arm is not None and arm.score is not None:
        room = points(max(0.0, 1 - arm.score.low))
        low = points(arm.score.low)
        could = (
            f": they could gain at most {room} points, from {low} (the low end) to a perfect 100"
        )
    return f"No prompt and no tuned model was run here{could}{f' ({why})' if why else ''}."


def untrained_line(results: Results) -> str:
    """Return why nothing was trained; "" if a tuned arm was measured."""
    arms = [a for a in results.evidence.arms if a.role == "candidate"]
    trained = [a for a in arms if a.tool in TRAINED_TOOLS]
    if any(arm.score for arm in trained):
        return ""
    why = _why_untrained(results, lacking=True)
    return f"No tuned model was measured{f' ({why})' if why else ''}."


def _why_untrained(results: Results, *, lacking: bool) -> str:
    """Return why training arms have no score; with `lacking` also those that lack a requirement."""
    arms = [a for a in results.evidence.arms if a.role == "candidate"]
    trained = [a for a in arms if a.tool in TRAINED_TOOLS]
    told = [a for a in trained if lacking or not (a.because and a.because.lacking)]
    return "; ".join(visible(f"{a.name}: {a.because or a.state}") for a in told)


def pays_line(results: Results) -> str:
    """Return a sentence on the volume at which the rival pays, or the keys missing for it."""
    if untrained := untrained_line(results):
        return untrained
    economics, missing = results.verdict.economics, results.verdict.missing
    have = results.task.economics.requests_per_month
    volume = economics.get("break_even_per_month")
    yours = f"; you have {amount(have)}" if have is not None else ""
    rival, ahead = economics.get("rival"), differences_to_named(results)
    who = "It" if ahead and rival in (None, ahead[0].arm) else visible(str(rival or "Tuning"))
    if isinstance(volume, int | float) and economics.get("side") not in ("always", "never"):
        side = "below" if economics.get("side") == "below" else "above"
        return f"{who} pays {side} {amount(volume)} requests a month{yours}."
    if economics.get("side") in ("always", "never"):
        return f"{who} {economics['side']} pays at these prices{yours}."
    why = missing.get("/economics/break_even_per_month") or missing.get("/economics") or UNKNOWN
    if needs := keys_lacking(results):
        return f"Costs are not weighed: economics (task.yaml) lacks {needs}."
    return f"At which volume tuning pays is not measured: {visible(why)}."


def rival_line(pair: Pair, margin: float) -> str:
    """Return an arm's comparison with the named one: `not shown better than ▶ : …`."""
    if pair.low > 0:
        short = ", less than the margin" if pair.mean < margin else ""
        return f"better than ▶ : {span(pair)}{short}"
    words = "worse than ▶" if pair.high < 0 else "not shown better than ▶"
    return f"{words} : {span(pair)}"


def limit_lines(arm: ArmResult, results: Results) -> list[tuple[str, str]]:
    """Return (limit with its bound, state) for every limit of the task that applies to the arm."""
    bounds = results.task.success.limits.plain() | {"floor": results.task.success.floor}
    return [(_limit_text(name, bounds.get(name)), state) for name, state in arm.limits.items()]


def _limit_text(name: str, value: Any) -> str:
    shown = {"valid": "valid ≥ {}", "p95_ms": "p95 ≤ {} ms", "general_drop": "general drop ≤ {}",
             "context_faithful": "faithful to context ≥ {}", "local_only": "local only",
             "floor": "score ≥ {}"}  # fmt: skip
    return shown[name].replace("{}", _limit_value(value)) if name in shown else visible(name)


def _limit_value(value: Any) -> str:
    if not isinstance(value, int | float):
        return "?"
    return f"{value:,.0f}" if value >= 2 else score(float(value))


def price_of_next_step(step: Next) -> str:
    """Return what a next step costs: `about 71 clicks`, `12 minutes`, `$1.20`."""
    sizes = [
        f"about {counted(step.clicks, 'click')}" if step.clicks is not None else "",
        counted(step.rows, "row") if step.rows is not None else "",
        counted(step.minutes, "minute") if step.minutes is not None else "",
        f"${amount(step.usd)}" if step.usd else "",
    ]
    return ", ".join(size for size in sizes if size)


def next_line(results: Results) -> str:
    """Return the sentence on the verdict's next step, with its size and reason."""
    step, margin = results.verdict.next, results.task.success.margin
    size = f", {price_of_next_step(step)}" if price_of_next_step(step) else ""
    if step.do == "settle":
        return f"To be sure within {points(margin)} points: tuneworthy settle{size}"
    return f"Next: {visible(step.do)}{size}" + (f": {visible(step.why)}" if step.why else "")


def target_line(verdict: Verdict, target: float) -> str:
    """Return whether the target is met, missed, or neither is shown: `target .90 met`."""
    words = {True: "met", False: "missed", None: "neither shown met nor missed"}
    return f"target {score(target)} {words[verdict.target_met]}"


def not_certain(arm: ArmResult, graded: bool = False) -> str:
    """Return a caution on a score from n cases: `47 of 50 is not 94 %: …`; or "".

    `graded`: some of its answers are partly right, so that their sum counts no right answers.
    """
    if arm.score is None or arm.n == 0:
        return ""
    right = round(arm.score.mean * arm.n, 6)
    low, high = (f"{100 * bound:.0f}" for bound in (arm.score.low, arm.score.high))
    lead = f"A mean of {score(arm.score.mean)} over {arm.n:,} cases"
    if right == int(right) and not graded:
        lead = f"{int(right):,} of {arm.n:,} is not {100 * arm.score.mean:.3g} %:"
        return f"{lead} with this many cases it lies between {low} and {high} % (95 %)."
    return f"{lead} lies between {low} and {high} points (95 %)."
