"""Terminal screens before a run: what each arm asks and costs, and the first prompt of each."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Any

from rich.text import Text

from tuneworthy.matrix.detectable import fresh_rows
from tuneworthy.matrix.look_text import look_line
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import TaskError
from tuneworthy.records.escape import visible
from tuneworthy.records.plan import EndpointLoad, OptionalMeasurement, Plan, PlannedArm
from tuneworthy.records.record import plain_file
from tuneworthy.records.task import PRICE_EXAMPLE
from tuneworthy.report.checks import detectable_line
from tuneworthy.report.results_folder import RESULTS_FILE, find_results, read_results
from tuneworthy.report.screen import Screen, cell
from tuneworthy.verdict.phrases import amount

_SCHEDULE = (
    "In full; after a first look `run` takes them step by step, the step first that can change the"
    " verdict most a minute, and ends where none can (docs/why/stages.md). The bounds pay for all."
)
_HALF = "What shows what was wrong: in full above; half of it is expected to run."
_TableSums = tuple[float, float, float, float | None, float | None]


def plan_json(plan: Plan, task: Path) -> str:
    """Return a plan as JSON; `next` is what a caller must know before it runs the study.

    `next`: the command, `id` of the task and rows that it is the plan of, `minutes` and `usd` that
    are expected, `most_minutes` and `most_usd` (None: no cap, or no price known), and `look`.
    """
    sent, caps = plan.sent, (plan.cap_usd, plan.sent.most_usd if plan.sent else 0.0)
    known = [usd for usd in caps if usd is not None]
    step = {
        "command": f"tuneworthy run {shlex.quote(str(task))}", "id": plan.identity,
        "minutes": plan.minutes, "most_minutes": plan.cap_minutes, "look": plan.looks,
        "usd": sent.usd if sent else 0.0, "most_usd": min(known, default=None),
        "paid": not plan.free and sent is not None,
    }  # fmt: skip
    return json.dumps({**plan.plain(), "next": step}, indent=2, ensure_ascii=False)


def plan_screen(plan: Plan, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on what a run would do and cost."""
    screen, split = Screen(width, plain), f"{plan.k} folds" if plan.k > 1 else "one split"
    kept = [arm for arm in plan.arms if not arm.because]
    sums = _total_sums(map(_arm_sums, kept))
    screen.add(
        Text(f"  {_cost_headline(plan, len(kept), sums)}", "bold"),
        f"  {count_noun(plan.scored, 'row')} scored ({split}), {plan.train:,} to learn from,"
        f" {plan.dev:,} to choose on",
    )
    if plan.limited:
        screen.add(Text("  NOT A VERDICT: rows are limited", "bold"))
    titles = ("requests", 9), ("tokens", 12), ("minutes", 9), ("$ expected", 12), ("$ at most", 11)
    header = "".join(cell(title, wide, right=True) for title, wide in titles)
    screen.add(Text("  " + cell("arm", width - 56) + header, "dim"))
    for arm in plan.arms:
        _arm_rows(screen, arm)
    screen.add(Text(_table_line(screen, "together", sums), "bold"))
    if any(arm.scheduled for arm in plan.arms):
        screen.say(_SCHEDULE, style="dim")
    if plan.across:
        total = _total_sums(map(_arm_sums, plan.across))
        screen.add(_table_line(screen, "to see what was wrong", total))
    for one in plan.others:
        screen.add(_table_line(screen, one.what, _endpoint_sums(one)))
    _optional_rows(screen, plan.beside)
    prices = (f"{text[:1].upper()}{text[1:]}." for text in plan.prices)
    screen.say(_HALF * bool(plan.across), *_endpoint_lines(plan), *prices)
    _running_cost_rows(screen, plan)
    paces = f"Minutes of training: {'; '.join(plan.paces)}. Its first folds correct them."
    screen.say(paces if plan.paces else "", plan.again, _cuts_line(plan))
    if plan.looks > 1:
        fresh = fresh_rows(plan.scored, plan.looks)
        screen.say(
            f"{look_line(plan.looks, plan.looks_scope).capitalize()}. They show what {fresh:,} "
            "fresh ones would: score on rows that no study has opened, `tuneworthy settle` "
            "supplies them from the inputs of data.unlabelled."
        )
    screen.say(detectable_line(plan.visible))
    return screen.text()


def _cost_headline(plan: Plan, arms: int, sums: _TableSums) -> str:
    """Return what the run takes: arms, minutes, requests, dollars if any are expected."""
    requests, _, _, usd, most = sums
    if plan.sent is not None:  # not all of it is expected to run
        requests, usd, most = plan.sent.requests, plan.sent.usd, plan.sent.most_usd
    asked = f", {count_noun(round(requests), 'request')}" if requests else ""
    paid = f", ${amount(usd)} expected" if usd else ""
    cap = f", ${amount(most)} at most" if most else ""
    minutes = f"{plan.minutes:.1f} minutes"
    if plan.cap_minutes is not None and plan.cap_minutes < plan.minutes:
        minutes = f"at most {plan.cap_minutes:g} of {minutes}"
    return f"{count_noun(arms, 'arm')}: {minutes}{asked}{paid}{cap}"


def _arm_rows(screen: Screen, arm: PlannedArm) -> None:
    if not arm.because:
        screen.add(_table_line(screen, arm.spec.name, _arm_sums(arm)))
        return
    title = cell(screen.safe(arm.spec.name), screen.width - 56)
    screen.beside(Text(f"  {title} ", "dim"), f"not run: {arm.because}", "dim")


def _cuts_line(plan: Plan) -> str:
    if not plan.cuts:
        return ""
    cuts = "Left out, first to last, to fit the minutes: " + "; ".join(plan.cuts)
    if plan.whole is not None:
        cuts += f". With budget: {{minutes: {ceil(plan.whole)}}} nothing of this is left out."
    return cuts


def money_line(sent: EndpointLoad) -> str:
    """Return the cost of endpoint requests, expected and at most: `about $.12, at most $.80`."""
    if sent.usd is None or sent.most_usd is None:
        return f"no price (economics.prices: {{NAME: {PRICE_EXAMPLE}}}, USD per million tokens)"
    return f"about ${amount(sent.usd)}, at most ${amount(sent.most_usd)}"


def _endpoint_lines(plan: Plan) -> Iterator[str]:
    """Yield the sentences on requests to endpoints: their number and cost, and the caps."""
    if (sent := plan.sent) is None:
        return
    yield (
        f"Endpoints are sent about {sent.requests:,} requests with {sent.tokens:,} tokens, at most"
        f" {sent.most_requests:,} with {sent.most_tokens:,} (a token a byte, every answer at its"
        f" longest; retries aside): {money_line(sent)}. Expected tokens are estimated from words,"
        " numbers and marks, the template of a chat aside: in English, JSON and code mostly within"
        " a sixth of what a server counts for them, in other languages within about half."
        f" Minutes: {plan.assumed}."
    )
    if any(arm.sent and arm.sent.requests > plan.scored for arm in plan.arms):
        yield (
            f"Requests beyond the {plan.scored:,} scored rows: rows on which an arm chooses its"
            " prompt or its examples, once for each that it tries, and second tries of an answer."
        )
    yield _caps_line(plan, sent)


def _running_cost_rows(screen: Screen, plan: Plan) -> None:
    """Add lines on each arm's cost in use at the task's volume, and the source of the prices."""
    if plan.requests_per_month is None or plan.sent is None:
        return
    name = screen.width - 56
    arms = [arm for arm in plan.arms if not arm.because and arm.spec.role == "candidate"]
    volume = amount(plan.requests_per_month)
    screen.add(Text(f"  In use, at {volume} requests a month:", "bold"))
    titles = cell("$ per 1,000", 21, right=True) + cell("$ a month", 12, right=True)
    screen.add(Text("  " + cell("arm", name) + titles, "dim"))
    for arm in arms:
        each = arm.sent.usd_per_1k if arm.sent else None
        costs = (each, None if each is None else each * plan.requests_per_month / 1000)
        each_cell, month = ("—" if one is None else amount(one) for one in costs)
        title = cell(screen.safe(arm.spec.name), name)
        screen.add(f"  {title}{cell(each_cell, 21, right=True)}{cell(month, 12, right=True)}")
    known = [arm.sent.price_from for arm in arms if arm.sent and arm.sent.usd_per_1k is not None]
    sources = "; ".join(dict.fromkeys(filter(None, known)))
    text = f"Prices: {sources}. " if sources else ""
    text += (
        "Requests alone, at the expected tokens and without a discount for cached prompts; hours,"
        " hosting and retraining are priced by `run`."
    )
    if len(known) < len(arms):
        text += (
            " — : no price of its model is known (economics.prices), or it answers on this machine"
            " (`run` measures its seconds, economics.machine_hour prices them)."
        )
    screen.say(text)


def _caps_line(plan: Plan, sent: EndpointLoad) -> str:
    """Return a sentence on whether and where the task's caps would end the run."""
    caps = [f"${amount(plan.cap_usd)}"] if plan.cap_usd is not None else []
    caps += [f"{plan.cap_tokens:,} tokens"] if plan.cap_tokens is not None else []
    if not caps and plan.free:
        return "No cap is needed: nothing that is asked costs money."
    if not caps:
        return "No cap is set: before `run` sends anything it wants budget: {usd: N}, or --pay."
    cap = " and ".join(caps)
    if plan.cap_usd is not None and sent.usd is None:
        return f"Your cap of {cap} can't be kept without a price: `run` asks for one first."
    if at := plan.stops_at:
        return (
            f"Your cap of {cap} may end the run in `{at}`, before a verdict (exit code 6): more is"
            " expected in all. Raise it, or name fewer `arms`; a run that ended goes on."
        )
    if plan.cap_usd is not None and (sent.most_usd is None or sent.most_usd > plan.cap_usd):
        return (
            f"Your cap of {cap} covers what is expected and not the most: a run that comes near it"
            " ends before the request that could pass it, and goes on once it is raised."
        )
    return f"Your cap of {cap} is not reached by what is expected."


def _arm_sums(arm: PlannedArm) -> _TableSums:
    if arm.sent is None:
        return arm.requests, arm.tokens, arm.minutes, arm.usd, arm.usd
    return _endpoint_sums(arm.sent)


def _endpoint_sums(sent: EndpointLoad) -> _TableSums:
    return sent.requests, sent.tokens, sent.minutes, sent.usd, sent.most_usd


def _total_sums(rows: Iterable[_TableSums]) -> _TableSums:
    """Return the column sums of table rows; a dollar column without a known amount gives None."""
    columns = list(zip(*rows, strict=True)) or [()] * 5

    def dollars(at: int) -> float | None:
        known = [float(usd) for usd in columns[at] if usd is not None]
        return sum(known) if known else None

    plain = [sum(float(value or 0.0) for value in columns[at]) for at in range(3)]
    return plain[0], plain[1], plain[2], dollars(3), dollars(4)


def _optional_rows(screen: Screen, extras: Sequence[OptionalMeasurement]) -> None:
    """Add the minutes of the optional measurements, their names, and why others are left out."""
    if not extras:
        return
    kept = [extra for extra in extras if not extra.because]
    sums = (sum(extra.requests for extra in kept), 0, sum(extra.minutes for extra in kept))
    screen.add(_table_line(screen, "beside the arms", (*sums, None, None)))
    parts = [", ".join(extra.what for extra in kept)] if kept else []
    for why in dict.fromkeys(extra.because for extra in extras if extra.because):
        parts.append(f"not {', '.join(e.what for e in extras if e.because == why)}: {why}")
    screen.say(f"Beside the arms: {'; '.join(parts)}.")


def _table_line(screen: Screen, title: str, sums: _TableSums) -> str:
    requests, tokens, minutes, *usd = sums
    costs = ["—" if one is None else amount(one) for one in usd]
    figures = (f"{requests:,.0f}", 9), (f"{tokens:,.0f}", 12), (f"{minutes:.1f}", 9)
    cells = (*figures, (costs[0], 12), (costs[1], 11))
    name = cell(screen.safe(title), screen.width - 56)
    return "  " + name + "".join(cell(text, width, right=True) for text, width in cells)


def prompts_screen(prompts: Sequence[Any], width: int = 80, plain: bool = False) -> Text:
    """Return the prompts, whole: role and text of every message, one arm after the other.

    Each is a `PromptPreview`, which lies on a higher floor.
    """
    screen = Screen(width, plain)
    for shown in prompts:
        screen.say(shown.arm + (f"  → {shown.model}" if shown.model else ""), style="bold")
        screen.say(shown.note, style="dim")
        if shown.same_as:
            screen.add(f"  the same messages as {screen.safe(shown.same_as)}")
        for message in () if shown.same_as else shown.messages:
            screen.add(Text(f"  [{message.role}]", "cyan"))
            for line in message.content.split("\n"):
                screen.beside(Text("    "), line)
        screen.add()
    screen.add("  Nothing was sent.")
    return screen.text()


def repeats_lines(task: Path) -> list[str]:
    """Return what more answers and more rows would do: a line for each arm asked repeatedly.

    Nothing if there is no such study, or no arm of it was asked several times.
    """
    with suppress(TaskError, OSError):
        folder = find_results(task)
        if b'"rows_alone"' in plain_file(folder / RESULTS_FILE):
            arms = read_results(folder).evidence.arms
            return [f"{visible(a.name)} of {folder.name}: {a.repeats.or_rows(a.n)}."
                    for a in arms if a.repeats]  # fmt: skip
    return []
