"""Sentences on the facts of a study, each told once: what the screens, the page and CI show."""

from __future__ import annotations

from tuneworthy.explain.questions import CHECKLIST
from tuneworthy.records.audit_report import Audit
from tuneworthy.records.counting import count_noun, score_text, tenths
from tuneworthy.records.escape import visible
from tuneworthy.records.evidence import ArmResult, Latency, Pair, TruncatedAnswers
from tuneworthy.records.mistake_costs import dearest
from tuneworthy.records.results import Results
from tuneworthy.records.split import Trend
from tuneworthy.records.task import TOOLS, TRAINED_TOOLS, recorded_files
from tuneworthy.records.verdict import Verdict
from tuneworthy.store.purse import UNKNOWN_OUTCOMES_NOTE
from tuneworthy.verdict import phrases
from tuneworthy.verdict.drift import break_line, sentences
from tuneworthy.verdict.prices import keys_lacking
from tuneworthy.verdict.rule import apply_rule, ladder_scenarios
from tuneworthy.verdict.rungs import policy_of


def wide_line(arm: ArmResult) -> str:
    """Return how much wider an arm's interval is than for independent rows, and why; else ""."""
    first, *reasons = arm.wide or ("",)
    return f"{first}{': ' if reasons else ''}{'; '.join(reasons)}"


def unanswered_line(arm: ArmResult) -> str:
    """Return how many of an arm's cases are unanswered, and its score if all were right."""
    most = score_text(arm.score_if_right or 0.0)
    tells = arm.score and arm.score_if_right is not None and most != score_text(arm.score.mean)
    most_text = f" ({most} at most if right)" if tells else ""
    return f"{arm.errors:,} of {arm.n:,} without an answer or a score: counted as wrong{most_text}"


def cut_line(cut: TruncatedAnswers, n: int) -> str:
    """Return how many answers the token limit ended, and the points this may have cost."""
    lost = f"which cost it at most {tenths(cut.gain)} points"
    return f"{cut.n:,} of {n:,} answers cut by the token limit, {lost}"


def checklist_summary(verdict: Verdict) -> str:
    """Return the checklist's answers in a line: `1 yes (evaluation), 4 not measured (…)`; or ""."""
    by_name = {found.name: found for found in verdict.questions}
    five = [by_name[name] for name in CHECKLIST if name in by_name]
    parts = []
    for answer in ("yes", "no", "not_measured"):
        names = [phrases.short_question(found.name) for found in five if found.answer == answer]
        count = f"{len(names)} {answer.replace('_', ' ')}"
        parts += [f"{count} ({', '.join(names)})"] if names else []
    return ", ".join(parts) if any(found.answer != "not_measured" for found in five) else ""


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
    """Return the result of the arm that the verdict names, None if it names none."""
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
    """Return a sentence on the named arm's kind and score on rows like these; "" if unscored."""
    arm = arm_named(results)
    if arm is None or arm.score is None or results.verdict.status == "blocked":
        return ""
    low, mean, high = (f"{100 * v:.0f}" for v in (arm.score.low, arm.score.mean, arm.score.high))
    if arm.sure:
        return f"{phrases.TOOLS[arm.tool or 'other'][1]}: it {arm.sure.text} (95 % sure)."
    fitted = f", fitted on {arm.rows_learnt}" if arm.rows_learnt else ""
    sure = f"rows like these (95 % sure: {low} to {high})" if bounds_hold(results) else "these rows"
    said = f"{mean} of 100 points on {sure}"
    return f"{phrases.TOOLS[arm.tool or 'other'][1]}: {said}{fitted}."


def status_line(results: Results) -> str:
    """Return in one line: status, rows of the named arm (else of the arm with most), looks."""
    arm, n = arm_named(results), results.evidence.n
    scored = arm.n if arm else max((one.n for one in results.evidence.arms), default=n)
    rows = f"{scored:,} of {count_noun(n, 'row')}" if 0 < scored < n else count_noun(n, "row")
    look = f" · look {results.verdict.looks}" if results.verdict.looks > 1 else ""
    look = f" · locked rows{look or ' · look 1'}" if results.evidence.locked else look
    stamp = " · NOT A VERDICT (limited run)" if results.evidence.limited else ""
    return f"{results.verdict.status} · {rows}{look}{stamp}"


def rows_line(audit: Audit) -> str:
    """Return what was counted: rows given, left out, scored, and not scored."""
    counts = [f"{audit.rows:,} given"]
    counts += [f"{audit.rows - audit.used:,} left out"] * (audit.rows > audit.used)
    counts.append(f"{audit.scored:,} scored")
    counts += [f"{audit.used - audit.scored:,} not scored"] * (audit.used > audit.scored)
    return ", ".join(counts)


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
        room = tenths(max(0.0, 1 - arm.score.low))
        low = tenths(arm.score.low)
        could = (
            f": they could gain at most {room} points, from {low} (the low end) to a perfect 100"
        )
    return f"No prompt and no tuned model was run here{could}{f' ({why})' if why else ''}."


def _untrained_line(results: Results) -> str:
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
    """Return a sentence on the volume at which the rival pays, or why that is not known."""
    if untrained := _untrained_line(results):
        return untrained
    economics, missing = results.verdict.economics, results.verdict.missing
    have = results.task.economics.requests_per_month
    volume = economics.get("break_even_per_month")
    yours = f"; you have {phrases.amount(have)}" if have is not None else ""
    rival, left = economics.get("rival"), results.verdict.left_on_table
    who = "It" if left and left.arm and rival == left.arm else visible(str(rival or "Tuning"))
    if isinstance(volume, int | float) and economics.get("side") not in ("always", "never"):
        side = "below" if economics.get("side") == "below" else "above"
        return f"{who} pays {side} {phrases.amount(volume)} requests a month{yours}."
    if economics.get("side") in ("always", "never"):
        return f"{who} {economics['side']} pays at these prices{yours}."
    if needs := keys_lacking(results):
        return f"What running costs is not weighed: economics (task.yaml) lacks {needs}."
    why = missing.get("/economics/break_even_per_month") or missing.get("/economics")
    return f"At which volume tuning pays is not measured: {visible(why or phrases.UNKNOWN)}."


def rival_line(pair: Pair, margin: float) -> str:
    """Return an arm's comparison with the named one: `not shown better than ▶ : …`."""
    if pair.low > 0:
        short = ", less than the margin" if pair.mean < margin else ""
        return f"better than ▶ : {phrases.span(pair)}{short}"
    words = "worse than ▶" if pair.high < 0 else "not shown better than ▶"
    return f"{words} : {phrases.span(pair)}"


def limit_lines(arm: ArmResult, results: Results) -> list[tuple[str, str]]:
    """Return (limit with its bound, state) of each limit of the task that applies to the arm."""
    success = results.task.success
    own = {name: getattr(success, name) for name in ("floor", "wrong_at_most")}
    bounds = success.limits.plain() | own
    return [(phrases.limit_text(name, bounds.get(name)), arm.limits[name]) for name in arm.limits]


def next_line(results: Results) -> str:
    """Return the sentence on the verdict's next step, with its size and reason."""
    step, margin = results.verdict.next, results.task.success.margin
    size = f", {phrases.price_of_next_step(step)}" if phrases.price_of_next_step(step) else ""
    if step.do == "settle":
        return f"To be sure within {tenths(margin)} points: tuneworthy settle{size}"
    return f"Next: {visible(step.do)}{size}" + (f": {visible(step.why)}" if step.why else "")


def not_certain(arm: ArmResult, graded: bool = False) -> str:
    """Return a caution on a score from n cases: `47 of 50 is not 94 %: …`; or "".

    `graded`: some of its answers are partly right, so that their sum counts no right answers.
    """
    if arm.score is None or arm.n == 0:
        return ""
    right = round(arm.score.mean * arm.n, 6)
    low, high = (f"{100 * bound:.0f}" for bound in (arm.score.low, arm.score.high))
    lead = f"A mean of {score_text(arm.score.mean)} over {arm.n:,} cases"
    if right == int(right) and not graded:
        lead = f"{int(right):,} of {arm.n:,} is not {100 * arm.score.mean:.3g} %:"
        return f"{lead} with this many cases it lies between {low} and {high} % (95 %)."
    return f"{lead} lies between {low} and {high} points (95 %)."


def left_line(results: Results) -> str:
    """Return a sentence on how many points another arm could gain at most, and which arm."""
    verdict, left = results.verdict, results.verdict.left_on_table
    if left is None:
        why = visible(verdict.missing.get("/left_on_table", phrases.UNKNOWN))
        return f"How much better another arm could be is not measured: {why}."
    sure = phrases.confidence(left.level)
    arm = next((one for one in results.evidence.arms if one.name == left.arm), None)
    if arm is None and left.points > 0:  # a study from before the arm was noted
        return f"Another arm could be at most {tenths(left.points)} points better ({sure} sure)."
    if arm is None:
        able = [a for a in results.evidence.arms if a.score and a.role == "candidate"]
        which = "measured" if all(one.competes for one in able) else "compared"
        return f"No other {which} arm can be better ({sure} sure)."
    kind = phrases.TOOLS[arm.tool or "other"][0]
    kind = kind[:1].upper() + kind[1:]
    if verdict.arm is None:
        return (
            f"{kind} ({visible(arm.name)}) is not shown to be better than"
            f" {visible(str(left.versus))}: by at most {tenths(left.points)} points, as far as"
            f" these rows can show ({sure} sure)."
        )
    return (
        f"{kind} ({visible(arm.name)}) could be at most {tenths(left.points)} points "
        f"better ({sure} sure){_beyond_perfect(results, left.points)}."
    )


def _beyond_perfect(results: Results, left: float) -> str:
    """Return a clause on a bound `left` above the points missing to a perfect score; or "".

    The bound holds for rows like these, among which there may be harder ones; on these rows
    themselves no arm can gain more than the points missing to a perfect score.
    """
    named = arm_named(results)
    if named is None or named.score is None or left <= (room := 1 - named.score.mean):
        return ""
    here = f"on these rows at most the {tenths(room)} to a perfect score"
    return f": {here}, more only where others are harder"


def time_line(results: Results) -> str:
    """Return sentences on what no bound allows for (breaks over time, dependent rows); or ""."""
    policy = results.policy or policy_of(results.task)
    board = ladder_scenarios(results.evidence, policy).seen
    arm = next((one for one in board.order if one.name == results.verdict.arm), None)
    return visible(" ".join(filter(None, sentences(board, policy, results.evidence, arm))))


def bounds_hold(results: Results) -> bool:
    """Return whether rows and right answers are independent, as every bound assumes."""
    policy = results.policy or policy_of(results.task)
    return not apply_rule(ladder_scenarios(results.evidence, policy), policy).unbounded


def trend_lines(results: Results) -> list[str]:
    """Return a line on the trend over time of each difference of the named arm to another arm."""
    name = results.verdict.arm
    own = [trend for trend in results.evidence.trends if name in (trend.arm, trend.versus)]
    return [visible(_trend_line(trend.seen_from(name or ""))) for trend in own]


def load_text(latency: Latency) -> str:
    """Return the load under which requests were timed: `one at a time`, or the concurrency."""
    if latency.concurrency is None:
        return "as recorded"
    if latency.concurrency == 1:
        return "one at a time"
    return f"with up to {latency.concurrency:,} requests under way"


def timing_line(results: Results) -> str:
    """Return which arms were timed under load; "" if all were timed one at a time."""
    by_load: dict[str, list[str]] = {}
    for arm in results.evidence.arms:
        if arm.latency_ms is not None and (arm.latency_ms.concurrency or 1) > 1:
            by_load.setdefault(load_text(arm.latency_ms), []).append(arm.name)
    return visible("; ".join(f"p50 of {', '.join(names)}: {how}" for how, names in by_load.items()))


def _trend_line(trend: Trend) -> str:
    if trend.p is None:
        return f"{trend.arm} beside {trend.versus} over time: not measured ({trend.because})."
    chance = f"chance alone shows a break as large in {100 * trend.p:.2g} % of orders of the rows"
    return f"{break_line(trend)}; {chance}."


def note_lines(results: Results) -> list[str]:
    """Return notes on weighed mistakes, endpoints and requests without a known outcome; or []."""
    noted = results.reproduce.get("endpoints", [])
    lines = [str(note) for note in noted] if isinstance(noted, list) else []
    if unknown := results.reproduce.get(UNKNOWN_OUTCOMES_NOTE):
        lines.append(f"{unknown} (listed in the report)")
    if costs := results.task.success.costs:
        lines.append(
            f"mistakes are weighed by success.costs: 100 points are no mistake, 0 the dearest one "
            f"({dearest(costs):g}) on every row"
        )
    return [visible(line) for line in lines]
