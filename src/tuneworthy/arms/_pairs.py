"""Have a teacher write (input, answer) pairs, and reject the doubtful ones.

A request to an endpoint goes through the ledger (its worst price is reserved first, a recorded
reply is never asked again). Samples of a model on this machine are kept in files, which all folds
share and which survive a kill.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from tuneworthy.arms._prompted import answer_token_limit, as_answer, draw_samples
from tuneworthy.arms._searched import read_cached_json, write_json_atomically
from tuneworthy.arms.prompt.grammar import grammar
from tuneworthy.arms.prompt.lenient import normal_form
from tuneworthy.arms.prompt.messages import INPUT_PLACEHOLDER, build_all
from tuneworthy.metrics._validity import validity
from tuneworthy.metrics._writing import match_label
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Setup
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.errors import DoesNotApply, Unanswered
from tuneworthy.records.model import Limits, Model, Reply, limits_for
from tuneworthy.records.record import Record, digest
from tuneworthy.records.task import OutputType, Task

Prompt = Literal["auto", "zero", "input", "best"]

FIXED_PROMPTS = ("zero", "input")  # prompts that are the same in every fold


class TeacherOptions(Record):
    """`teacher_prompt`: zero (the instruction and the form of an answer), input, or best.

    input is the row alone, for a teacher with a prompt of its own: an artefact behind a server.
    best is the best prompt of the fold, whose examples differ by fold, so that a teacher behind an
    endpoint is paid for in every fold. auto: best if the teacher is the task's own model (its
    prompt is then all that it has over the student), else zero.
    """

    teacher_prompt: Prompt = Field(default="auto")


def teacher_of(setup: Setup) -> Model:
    """Return the task's teacher. Raises DoesNotApply if it is not set or cannot be opened."""
    model = setup.models.get("teacher")
    if model is None:
        raise DoesNotApply("the task's `teacher` is not set, or can't be opened here")
    return model


def teacher_recipe(setup: Setup, prompt: Prompt) -> Recipe:
    """Return the recipe of the prompt that the teacher gets in this fold."""
    if prompt == "input":
        return Recipe(kind="file", text=INPUT_PLACEHOLDER)
    best = prompt == "best" or (prompt == "auto" and _teaches_itself(setup.task))
    return setup.recipe if best else Recipe(kind="zero")


def _teaches_itself(task: Task) -> bool:
    """Return whether the teacher is the task's own model or the model that is tuned."""
    return task.teacher in (task.model, task.tune or task.model)


def pair_settings(task: Task) -> dict[str, Any]:
    """Return the task's settings that decide which of a teacher's pairs are kept, for cache keys.

    A pair of a labelled row is kept if its answer passes; the teacher's prompt depends on whose
    teacher it is.
    """
    return {"pass_at": task.success.passes_from, "_teaches_itself": _teaches_itself(task)}


def without_passage(
    ask: Callable[[Sequence[Query]], list[Answer]],
) -> Callable[[Sequence[Query]], list[Answer]]:
    """Return `ask` with the gold passages, which a ceiling may see, taken out of the queries."""

    def asked(queries: Sequence[Query]) -> list[Answer]:
        return ask([query.model_copy(update={"gold_passage": None}) for query in queries])

    return asked


_INPUTS_AT_ONCE = 32  # inputs whose samples are asked for, and kept, at once
_MOST_LOST_SHARE = 0.01  # largest share of inputs that failed requests may cost

FEW_SAMPLES = 5  # samples below which the majority says little

REASON_TOKENS = 160  # tokens of a rationale before its answer

ASK_WHY = (
    "First give the reason in one or two sentences. Then write a new line that begins with "
    "`Answer:` and holds the answer alone."
)

ANSWER_MARK = "Answer:"

NO_ANSWER, UNENDED_ANSWER = "the teacher gave no answer", "the answer did not end by itself"

WRONG_FORM, SAMPLES_DISAGREE = "the answer has not the form of the task", "the samples disagree"

DROPPED_AS_WRONG, NO_REASON = (
    "the answer is not the right one of its row",
    "the answer comes without a reason",
)


class PairOptions(TeacherOptions):
    """Options of writing and filtering a teacher's pairs.

    `samples` are drawn for each input, at a `temperature` (a single one is greedy). The answer that
    most of them give is kept if its share exceeds `agree`; None: one half, and 0 for free text,
    whose samples need not agree. `rationale`: the teacher gives a reason before its answer.
    """

    samples: Annotated[int, Field(ge=1, le=64)] = 5
    temperature: Annotated[float, Field(gt=0, le=2)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    agree: Annotated[float, Field(ge=0, lt=1)] | None = None
    rationale: bool = False


@dataclass(frozen=True)
class TeacherInput:
    """An input for the teacher, and its labelled row if it has one (the teacher never sees it)."""

    query: Query
    row: Case | None = None


@dataclass(frozen=True)
class Pair:
    """An input with the kept texts of its answer, and the reason of the first one, if asked for."""

    query: Query
    texts: tuple[str, ...]
    reason: str = ""


@dataclass
class WrittenPairs:
    """The kept pairs; ids of the rejected inputs by reason; sums over the teacher's replies.

    A sum is None if a reply did not state its part. Folds that send equal requests share them.
    `varied`: two samples of one input differ.
    """

    pairs: list[Pair] = field(default_factory=list)
    rejected: dict[str, list[str]] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)
    varied: bool = False

    def summary(self) -> dict[str, Any]:
        """Return the counts of pairs and the sums over replies, JSON-ready."""
        left_out = {reason: len(ids) for reason, ids in sorted(self.rejected.items())}
        inputs = len(self.pairs) + sum(left_out.values())
        return {
            "inputs": inputs,
            "written": len(self.replies),
            "kept": len(self.pairs),
            "rejected": left_out,
            **{name: self._sum(name) for name in ("tokens_in", "tokens_out", "usd")},
        }

    def _sum(self, name: str) -> float | int | None:
        values = [getattr(reply, name) for reply in self.replies if reply.error is None]
        return None if not values or None in values else sum(values)


def write_pairs(
    setup: Setup, teacher: Model, sources: Sequence[TeacherInput], options: PairOptions
) -> WrittenPairs:
    """Return the kept (input, answer) pairs that the teacher writes, and rejected ids by reason.

    Raises BudgetError where the next request could pass a cap; what was answered is kept. Raises
    Unanswered if more than 1 % of the inputs are rejected where a request failed for now: the
    student is trained once, so that these rows would be lost for good.
    """
    written, lost = WrittenPairs(), 0
    writer = _Writer(setup, teacher, options)
    answer_filter = _Filter.of(setup, options)
    for start in range(0, len(sources), _INPUTS_AT_ONCE):
        chunk = sources[start : start + _INPUTS_AT_ONCE]
        for source, replies in zip(chunk, writer.samples([s.query for s in chunk]), strict=True):
            written.replies += replies
            written.varied |= len({reply.text for reply in replies}) > 1
            verdict = answer_filter.pair_or_reason(source, replies)
            if isinstance(verdict, Pair):
                written.pairs.append(verdict)
            else:
                written.rejected.setdefault(verdict, []).append(source.query.id)
                lost += any(reply.lost == "for now" for reply in replies)
        done = min(start + _INPUTS_AT_ONCE, len(sources))
        setup.say(f"the teacher wrote for {done:,} of {len(sources):,} inputs")
    if lost > _MOST_LOST_SHARE * len(sources):
        raise Unanswered(
            "the teacher left inputs unanswered for now",
            where=teacher.spec,
            got=f"{lost:,} of {len(sources):,} inputs",
            fix="run again later: only their requests are sent again",
        )
    return written


@dataclass(frozen=True)
class _Writer:
    """Draws samples from the teacher; caches those of a model on this machine in files."""

    setup: Setup
    teacher: Model
    options: PairOptions

    def samples(self, queries: Sequence[Query]) -> list[list[Reply]]:
        """Return the teacher's samples for each input, from the cache if they are there."""
        prompts = self._prompts(queries)
        path = self._path(prompts)
        if path and (stored := read_cached_json(path)) is not None:
            return [[Reply.model_validate(reply) for reply in one] for one in stored]
        draws = draw_samples(self.teacher, prompts, self._limits, self.options.samples)
        replies = [list(each) for each in zip(*draws, strict=True)]
        if path and not any(reply.error for one in replies for reply in one):
            write_json_atomically(path, [[reply.plain() for reply in one] for one in replies])
        return replies

    def _prompts(self, queries: Sequence[Query]) -> list[tuple[Message, ...]]:
        setup = self.setup
        recipe = teacher_recipe(setup, self.options.teacher_prompt)
        prompts = build_all(setup.task, queries, recipe, setup.train)
        return (
            [with_reason_request(prompt) for prompt in prompts]
            if self.options.rationale
            else prompts
        )

    @property
    def _limits(self) -> Limits:
        """Return the limits of a sample, the same for every fold and training seed."""
        options, task = self.options, self.setup.task
        drawn = {"temperature": options.temperature, "top_p": options.top_p, "seed": task.seed}
        room = answer_token_limit(self.setup) + (REASON_TOKENS if options.rationale else 0)
        return limits_for(task, room, **(drawn if options.samples > 1 else {}))

    def _path(self, prompts: Sequence[Sequence[Message]]) -> Path | None:
        """Return the cache file of these samples; None for an endpoint: the ledger caches it."""
        if "endpoint" in self.teacher.fingerprint:
            return None
        messages = [[turn.plain() for turn in prompt] for prompt in prompts]
        key = digest([self.teacher.fingerprint, messages, self._limits.plain(),
                      self.options.samples], 32)  # fmt: skip
        return (self.setup.common or self.setup.folder) / "teacher" / f"{key}.json"


@dataclass(frozen=True)
class _Filter:
    """Keeps the answer that most samples give, if it is valid, agreed on, and right where known."""

    valid: Callable[[Answer], bool | None]
    right: Callable[[Case, Answer], bool]
    form: Callable[[str], str]
    kind: OutputType | None
    agree: float
    rationale: bool

    @classmethod
    def of(cls, setup: Setup, options: PairOptions) -> _Filter:
        kind, passes = setup.task.output.type, setup.task.success.passes_from
        free = 0.0 if kind == "text" else 0.5

        def right(row: Case, answer: Answer) -> bool:
            score = setup.score(row, answer)
            return isinstance(score, Score) and score.value >= passes

        agree = free if options.agree is None else options.agree
        form = _answer_normaliser(setup)
        return cls(validity(setup.task), right, form, kind, agree, options.rationale)

    def pair_or_reason(self, source: TeacherInput, replies: Sequence[Reply]) -> Pair | str:
        """Return the pair of an input, or the reason why it is rejected."""
        ended = [reply for reply in replies if reply.error is None and reply.finish == "stop"]
        if not ended:
            return UNENDED_ANSWER if any(reply.error is None for reply in replies) else NO_ANSWER
        parted = [_split_reason(reply.text) for reply in ended] if self.rationale else [
            ("", reply.text) for reply in ended]  # fmt: skip
        reasoned = [one for one in parted if one[0] or not self.rationale]
        if not reasoned:
            return NO_REASON
        answers = [(why, self._answer(source, text)) for why, text in reasoned]
        sound = [(why, answer) for why, answer in answers if self.valid(answer) is not False]
        if not sound:
            return WRONG_FORM
        votes = Counter(normal_form(answer.text, self.kind) for _, answer in sound)
        top, count = votes.most_common(1)[0]
        if len(replies) > 1 and count <= self.agree * len(replies):
            return SAMPLES_DISAGREE
        agreed = [(w, a) for w, a in sound if normal_form(a.text, self.kind) == top]
        chosen = sound if self.kind == "text" and not self.agree else agreed
        if source.row is not None:
            row = source.row
            chosen = [(why, answer) for why, answer in chosen if self.right(row, answer)]
        if not chosen:
            return DROPPED_AS_WRONG
        texts = Counter(self.form(answer.text) for _, answer in chosen)
        every = [text for text, _ in texts.most_common(None if self.kind == "text" else 1)]
        reason = next(why for why, answer in chosen if self.form(answer.text) == every[0])
        return Pair(source.query, tuple(every), reason)

    def _answer(self, source: TeacherInput, text: str) -> Answer:
        return as_answer(source.query, (), Reply(text=text))


def _answer_normaliser(setup: Setup) -> Callable[[str], str]:
    """Return a function that writes a valid answer as labelled rows do: spelling, JSON spacing.

    A label gets its own spelling, JSON the spacing of most training answers, so that the student
    does not learn two forms of one answer.
    """
    kind, labels = setup.task.output.type, setup.task.output.labels or ()
    rule = grammar(setup.task, [case.output for case in setup.train])
    separators = (", ", ": ") if rule is None or rule.spaced or not setup.train else (",", ":")

    def form(text: str) -> str:
        if kind == "label":
            return match_label(text, labels) or text.strip()
        if kind == "json":
            return json.dumps(json.loads(text), ensure_ascii=False, separators=separators)
        return text.strip()

    return form


def with_reason_request(prompt: Sequence[Message]) -> tuple[Message, ...]:
    """Return the prompt with a request for a reason before the answer."""
    last = prompt[-1]
    return (*prompt[:-1], last.model_copy(update={"content": f"{last.content}\n\n{ASK_WHY}"}))


def _split_reason(text: str) -> tuple[str, str]:
    """Return the reason and the answer of a reply to `ASK_WHY`; ("", text) without the mark."""
    reason, mark, answer = text.rpartition(ANSWER_MARK)
    return (reason.strip(), answer.strip()) if mark else ("", text)
