"""Estimate the endpoint traffic of a plan: requests, tokens and dollars, expected and at most.

A server gets the whole prompt with every request; no shared prefix is reused as on this machine.
Expected tokens are estimated by the kind of text (`records/tokens.py`), as
`Remote.count_tokens` counts them. The upper bound is one token per byte, as the caps reserve them,
with every answer at its longest. Knows no arm by name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tuneworthy.arms.prompt.judging import comparison_messages
from tuneworthy.arms.prompt.messages import build
from tuneworthy.arms.prompt.wordings import wordings
from tuneworthy.arms.retrieval.chunks import ChunkOptions
from tuneworthy.explain.costs import price_source
from tuneworthy.measure.latency import MOST_LONGER_ANSWERS, SAMPLE_ANSWERS
from tuneworthy.measure.price_notes import price_notes
from tuneworthy.models import is_launched, is_local
from tuneworthy.models.remote import price_list as _prices
from tuneworthy.models.remote.endpoint import OPENAI, name_and_url
from tuneworthy.records.arm import RETRY_TOKEN_FACTOR, Asks, Recipe, Sizes, Work
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.plan import EndpointLoad
from tuneworthy.records.plugins import load
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import is_recorded, needs_of_arm, prompt_files
from tuneworthy.records.task import Task
from tuneworthy.rows.docs import Doc

_ASSUMED_SECONDS = 2.0  # assumed seconds per request if none was timed (documented in task-yaml.md)
_SEARCHED_ROWS = 60  # rows that a prompt search answers repeatedly
_NOTED_ROWS = 1_000  # rows sampled to estimate the length of notes on a task
WORD_BYTES = 8  # bytes per word that a model writes into a prompt
_JUDGE_TOKENS = 120  # tokens of a judge's reply (judge_metric.REPLY_TOKENS)
# Wrong answers with and without an injected instruction (calibration.MOST_INJECTED).
_CONTROL_ANSWERS = 100
_REQUEST_TOKENS = 32  # most tokens of a request around its messages (chat template)
_MESSAGE_TOKENS = 16  # most tokens around one message
_BYTES_PER_TOKEN = 4  # of English, roughly; the longest answer is taken as twice that
_BYTES_PER_FORM_TOKEN = 3  # bytes per token of a schema or a list of labels
# The most cut answers of an arm that are generated again, rounded up in 20 folds.
_MOST_CUT_REGENERATED = SAMPLE_ANSWERS + MOST_LONGER_ANSWERS + 40
_COUNT_FIELDS = ("cases", "train", "dev", "folds", "prompts")
_REPLACING_NEEDS = ("bigger", "present", "decision")  # needs that replace the base model of an arm


@dataclass(frozen=True)
class _TokenPrice:
    """A model behind an endpoint: USD per million tokens, in and out; None if unknown.

    `near` is the listed model of a similar name, for a model without a price. `source` names where
    the price is from.
    """

    model: str
    usd: Mapping[str, float] | None
    near: str = ""
    source: str = ""

    def dollars(self, read: float, written: float) -> float | None:
        """Return the dollars for so many tokens; None if the model has no known price."""
        if self.usd is None:
            return None
        dear = max(self.usd.get("in", 0.0), self.usd.get("cache_write", 0.0))
        return (read * dear + written * self.usd.get("out", 0.0)) / 1e6


@dataclass(frozen=True)
class RemoteModels:
    """The models behind endpoints by role (`rates`), and the mean and maximum lengths of rows.

    `longest_rows` has the lengths of the longest rows, which a prompt search may draw;
    `wording_bytes` is the size in bytes of the longest wording that it may try. `seconds` per
    request is the median of `requests_timed` earlier ones (0: assumed). `thinking_tokens` is the
    most thinking tokens before an answer. `prices` are sentences on models without a price and on
    a hosted tune.
    """

    rates: Mapping[str, _TokenPrice]
    mean: Sizes
    most: Sizes
    longest_rows: Sizes
    wording_bytes: int = 0
    seconds: float = _ASSUMED_SECONDS
    requests_timed: int = 0
    at_once: int = 8
    human_grades: int = 0
    thinking_tokens: int = 0
    prices: tuple[str, ...] = ()

    @property
    def assumed(self) -> str:
        """Return the assumption behind the minutes of requests, as text."""
        source = (
            f"median of {self.requests_timed:,} earlier ones" if self.requests_timed else "assumed"
        )
        return f"{self.seconds:.2g} s a request ({source}), {self.at_once} at a time"

    def sent(self, what: str, asked: Sequence[tuple[Asks, Asks, Asks]]) -> EndpointLoad | None:
        """Return requests, tokens and dollars at endpoints; None if no request goes to one.

        Each request is a triple: with mean lengths, with maximum lengths, with the longest rows.
        """
        priced = [
            (self.rates[triple[0].role], *triple)
            for triple in asked
            if triple[0].role in self.rates
        ]
        if not priced:
            return None
        usual, worst = list[tuple[float, float | None]](), list[tuple[float, float | None]]()
        for rate, mean, most, few in priced:
            written = mean.requests * (self.mean.answer if mean.written is None else mean.written)
            read = mean.requests * mean.read
            usual.append((read + written, rate.dollars(read, written)))
            upper = few if mean.few else most
            longest = self.mean.cap if mean.written is None else mean.written
            written = upper.at_most * (longest + self.thinking_tokens)
            read = upper.at_most * (upper.read + _REQUEST_TOKENS)
            worst.append((read + written, rate.dollars(read, written)))
        requests = sum(mean.requests for _, mean, _, _ in priced)
        return EndpointLoad(
            what=what,
            requests=round(requests),
            most_requests=round(sum(most.at_most for _, _, most, _ in priced)),
            tokens=round(sum(tokens for tokens, _ in usual)),
            most_tokens=round(sum(tokens for tokens, _ in worst)),
            usd=_sum_if_known([usd for _, usd in usual]),
            most_usd=_sum_if_known([usd for _, usd in worst]),
            minutes=round(requests * self.seconds / self.at_once / 60, 3),
        )


def _sum_if_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 6) if len(known) == len(values) else None


def remote_models(
    task: Task, cases: Sequence[Case], sizes: Sizes, docs: Sequence[Doc], seconds: Sequence[float]
) -> RemoteModels | None:
    """Return the models of a task behind endpoints; None if it names none.

    `cases` are all labelled rows, `sizes` their mean lengths, `seconds` the durations of earlier
    requests.
    """
    rates = {
        role: _endpoint_rate(task, spec)
        for role, spec in _specs_by_role(task)
        if spec and not is_local(spec)
    }
    if not rates:
        return None
    mean = sizes.model_copy(update={"form": _constraint_bytes(task) / _BYTES_PER_FORM_TOKEN})
    return RemoteModels(
        rates=rates,
        mean=mean,
        most=_longest_sizes(task, cases, mean, docs, sizes.cases),
        longest_rows=_longest_sizes(task, cases, mean, docs, _SEARCHED_ROWS),
        wording_bytes=max(
            (_byte_size(w.text) for w in wordings(task, cases[:_NOTED_ROWS])), default=0
        ),
        seconds=median(seconds) if seconds else _ASSUMED_SECONDS,
        requests_timed=len(seconds),
        at_once=task.max_connections,
        human_grades=_count_grades(task),
        thinking_tokens=0 if task.thinking == "off" else task.thinking_tokens,
        prices=price_notes(
            task,
            cases,
            {rate.model: rate.near for rate in rates.values() if rate.usd is None},
        ),
    )


def price_sentences(remote: RemoteModels | None) -> tuple[str, ...]:
    """Return the sentences on the prices of models behind endpoints, () without such a model."""
    return remote.prices if remote else ()


def _specs_by_role(task: Task) -> Iterator[tuple[str, str | None]]:
    yield from (("base", task.model), ("bigger", task.bigger), ("teacher", task.teacher))
    yield "decision", task.decider
    yield "reflection", task.teacher or task.bigger
    yield "present", task.present.model if task.present and not task.present.answers else None
    yield "judge", task.success.judge.model if task.success.judge else None


def _endpoint_rate(task: Task, spec: str) -> _TokenPrice:
    if is_launched(spec):
        return _TokenPrice(spec.partition(":")[2], dict(_prices.FREE))
    name, url = name_and_url(spec)
    address = url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    listed = _prices.listed(name, address)
    price: Any = task.economics.prices.get(name, listed.rates if listed else None)
    if not isinstance(price, Mapping) or not {"in", "out"} <= set(price):
        return _TokenPrice(name, None, _prices.closest_listed_name(name, address))
    try:
        usd = {key: float(price[key]) for key in ("in", "out", "cache_write") if key in price}
    except (TypeError, ValueError):
        return _TokenPrice(name, None)
    return _TokenPrice(name, usd, source=price_source(task, name, address))


def _count_grades(task: Task) -> int:
    """Return an upper bound on the human grades: the number of lines of their file."""
    path = task.folder / task.success.judge.grades if task.success.judge else None
    if path is None or not path.is_file():
        return 0
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _constraint_bytes(task: Task) -> int:
    """Return the bytes of the schema or labels in a constrained request."""
    value = task.output.json_schema or list(task.output.labels or ())
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")) + 300


def _longest_sizes(
    task: Task, cases: Sequence[Case], mean: Sizes, docs: Sequence[Doc], n: int
) -> Sizes:
    """Return upper sizes in bytes: the mean of the n longest inputs, the longest of other texts."""
    empty = Query(id="", messages=(Message(role="user", content=""),))
    shared = _messages_size(build(task, empty, Recipe(), ()))
    own = sorted((_messages_size(case.messages) for case in cases), reverse=True)
    answers = [_byte_size(case.output) for case in cases]
    longest = own[: max(n, 1)]
    passage = max((_byte_size(doc.text) for doc in docs), default=0)
    return mean.model_copy(
        update={
            "shared": shared + _prompt_file_size(task),
            "own": sum(longest) / max(len(longest), 1),
            "shot": max((_example_size(case) for case in cases), default=0) + 2 * _MESSAGE_TOKENS,
            "answer": max(answers, default=0),
            "labels": sum(_byte_size(str(label)) for label in task.output.labels or ()),
            "passage": min(passage, 2 * ChunkOptions().size),
            "form": _constraint_bytes(task),
            "unit": float(_BYTES_PER_TOKEN),
        }
    )


def _example_size(case: Case) -> int:
    return _messages_size(case.messages) + _byte_size(case.output)


def _messages_size(messages: Iterable[Message]) -> int:
    return sum(_byte_size(message.content) + _MESSAGE_TOKENS for message in messages)


def _prompt_file_size(task: Task) -> int:
    paths = [task.folder / file for file in prompt_files(task).values()]
    return max((path.stat().st_size for path in paths if path.is_file()), default=0)


@dataclass(frozen=True)
class BestPrompt:
    """The size of the best prompt before an arm: `shots` examples, `grown` bytes from a search.

    `rows` is the expected number of requests: a row with the same prompt in several folds is sent
    once.
    """

    shots: int
    grown: int
    rows: int


def arm_requests(
    remote: RemoteModels, task: Task, spec: Spec, sizes: Sizes, best: BestPrompt
) -> list[tuple[Asks, Asks, Asks]]:
    """Return an arm's requests, each as (at mean lengths, at maximum lengths, on longest rows).

    `sizes` has the most cases, rows and folds.
    """
    if is_recorded(task, spec):
        return []
    counts = {key: getattr(sizes, key) for key in _COUNT_FIELDS}
    added_bytes = float(best.grown)
    variants = [usual_sizes(remote, sizes, best)]
    variants += [
        variant.model_copy(
            update={**counts, "examples": best.shots, "shared": variant.shared + added_bytes}
        )
        for variant in (remote.most, remote.longest_rows)
    ]
    expected, *others = (declared_requests(spec, variant) for variant in variants)
    if spec.role == "placebo":  # it gets its arm's final prompt, without a search
        expected = tuple(a.model_copy(update={"requests": 0}) if a.few else a for a in expected)
    requests = list(zip(expected, *others, strict=True))
    return (
        [
            *requests,
            _longer_requests(
                requests[0],
                RETRY_TOKEN_FACTOR * remote.mean.cap
                + (RETRY_TOKEN_FACTOR - 1) * remote.thinking_tokens,
            ),
        ]
        if requests
        else []
    )


def usual_sizes(remote: RemoteModels, sizes: Sizes, best: BestPrompt) -> Sizes:
    """Return the expected sizes: mean lengths, and half of what the best prompt may have added."""
    mean = remote.mean
    counts = {key: getattr(sizes, key) for key in _COUNT_FIELDS} | {"cases": best.rows}
    shared = mean.shared + best.grown / _BYTES_PER_TOKEN / 2
    examples = (best.shots + 1) // 2
    return mean.model_copy(update={**counts, "examples": examples, "shared": shared})


def _longer_requests(original: tuple[Asks, Asks, Asks], longest: float) -> tuple[Asks, Asks, Asks]:
    """Return the request that generates cut answers again: none expected, a sample at most."""
    first, second, third = (
        request.model_copy(
            update={
                "requests": 0,
                "most": min(_MOST_CUT_REGENERATED, request.at_most),
                "written": longest,
            }
        )
        for request in original
    )
    return first, second, third


def declared_requests(spec: Spec, sizes: Sizes) -> tuple[Asks, ...]:
    """Return an arm's requests by its own estimate, else one a case; () if it asks no model."""
    arm = load("arms", spec.arm)
    if hasattr(arm, "estimate"):
        work: Work = arm.estimate(sizes, arm.Options.model_validate(spec.options))
        return tuple(_as_sent(spec, one) for one in work.asks)
    if not needs_of_arm(spec) & {"model", *_REPLACING_NEEDS}:
        return ()
    one = Asks(requests=sizes.cases, shared=sizes.shared, own=sizes.own)
    return (_as_sent(spec, one),)


def _as_sent(spec: Spec, one: Asks) -> Asks:
    """Return a request, its role "bigger" or "present" if the arm needs that in place of "base"."""
    replacing = next((need for need in _REPLACING_NEEDS if need in needs_of_arm(spec)), "base")
    return one.model_copy(update={"role": replacing}) if one.role == "base" else one


def judge_traffic(remote: RemoteModels, answers: float) -> EndpointLoad | None:
    """Return the endpoint load of a judge, two requests per answer; None if it has no endpoint.

    Calibration adds every human-graded answer, and wrong answers with an injected instruction.
    """
    if "judge" not in remote.rates:
        return None
    requests = 2 * (answers + remote.human_grades + _CONTROL_ANSWERS)
    empty = Case(id="", messages=(Message(role="user", content=""),), output="")
    turns = comparison_messages(Task.model_validate({"data": {"file": "-"}}), empty, "", "")
    frame = _messages_size(turns)

    def request(sizes: Sizes, answer: float, per: float) -> Asks:
        read = frame / per + sizes.shared + sizes.own + sizes.answer + answer
        return Asks(role="judge", requests=requests, own=read, written=float(_JUDGE_TOKENS))

    longest = remote.mean.cap * 2 * _BYTES_PER_TOKEN
    triple = (request(remote.mean, remote.mean.answer, _BYTES_PER_TOKEN),
              request(remote.most, longest, 1),
              request(remote.longest_rows, longest, 1))  # fmt: skip
    return remote.sent("the judge", [triple])


def _byte_size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
