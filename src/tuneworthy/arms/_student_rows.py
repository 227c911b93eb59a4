"""Options of distillation, the inputs for a teacher, and the rows that a student learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tuneworthy.arms._pairs import (
    ANSWER_MARK,
    ASK_WHY,
    FIXED_PROMPTS,
    REASON_TOKENS,
    Pair,
    PairOptions,
    TeacherInput,
    WrittenPairs,
    write_pairs,
)
from tuneworthy.arms._trained import TuningOptions, training_work
from tuneworthy.records.arm import Asks, Fitted, Setup, Sizes, Work
from tuneworthy.records.case import Case
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.model import Model
from tuneworthy.records.record import digest

MOST_HELD_BACK, HELD_SHARE = 40, 10  # teacher rows held back from training: at most 40, and 1 in 10
CURVE_SHARES = (0.25, 0.5)  # shares of the teacher's rows of the learning curve's other points
# Options of a training run on texts, which an on-policy run can't heed.
_OF_TEXTS = ("patience", "replay", "prompt_loss", "shuffled")
TAUGHT_SUFFIX, WHY_SUFFIX = " taught", " why"  # ends of the ids of a teacher's rows


class DistilOptions(PairOptions, TuningOptions):
    """Options of a student, besides those of the teacher's pairs and of training.

    `student`: tune (the task's open model with an adapter), layers (a copy with one of `every`
    layers, and an adapter), classifier (for labels; `head`: tfidf or sentence vectors). `gold`:
    auto trains on the labelled rows too; only_teacher leaves their answers out. `loss`: text (the
    likelihood of the teacher's text), kl (the divergence from the teacher's `top` likeliest tokens
    and the rest, at temperature `soften`, for a local teacher with the student's tokenizer),
    on_policy (the student writes, the teacher scores). `reason_weight` is the weight of a token of
    a rationale (an answer's is 1). `learns`: teacher; own (the seed student: the labelled rows
    alone); nothing (the untouched student). `curve`: also train on a quarter and on half of the
    teacher's rows.
    """

    student: Literal["tune", "layers", "classifier"] = "tune"
    every: Annotated[int, Field(ge=2, le=100)] = 2
    head: Literal["tfidf", "vectors"] = "tfidf"
    gold: Literal["auto", "only_teacher"] = "auto"
    loss: Literal["text", "kl", "on_policy"] = "text"
    top: Annotated[int, Field(ge=1, le=1000)] = 20
    soften: Annotated[float, Field(gt=0, le=10)] = 1.0
    reason_weight: Annotated[float, Field(gt=0, le=10)] = 0.5
    learns: Literal["teacher", "own", "nothing"] = "teacher"
    curve: bool = False

    @model_validator(mode="after")
    def _check_combination(self) -> DistilOptions:
        if self.rationale and (self.loss != "text" or self.student == "classifier"):
            raise ValueError("a rationale is learnt as text, by a model that writes: `loss: text`")
        if self.student == "classifier" and self.loss != "text":
            raise ValueError("a classifier learns labels, not distributions: `loss: text`")
        if self.trainer:
            raise ValueError("a student is trained by our own loop: leave `trainer` out")
        fields, plain = type(self).model_fields, self.loss != "on_policy"
        changed = [] if plain else [n for n in _OF_TEXTS if getattr(self, n) != fields[n].default]
        if changed:
            raise ValueError(
                f"`loss: on_policy` trains on no texts: leave {', '.join(changed)} out"
            )
        return self


@dataclass(frozen=True)
class StudentRows:
    """A student's rows: labelled ones, the teacher's pairs, and pairs held back from training."""

    gold: Sequence[Case]
    pairs: Sequence[Pair]
    held: Sequence[Pair]

    def first_share(self, share: float) -> StudentRows:
        """Return these rows with only the first share of the teacher's pairs, in a fixed order."""
        return replace(self, pairs=self.pairs[: max(1, round(share * len(self.pairs)))])

    def training_rows(self, rationale: bool = False) -> list[Case]:
        """Return the training rows; with `rationale`, also one for each reason of the teacher.

        A teacher's answer that repeats a labelled row is learnt once.
        """
        known = {(case.messages, case.output) for case in self.gold}
        every = [row for pair in self.pairs for row in taught_rows(pair)]
        taught = [row for row in every if (row.messages, row.output) not in known]
        reasons = [reasoned_row(pair) for pair in self.pairs if rationale and pair.reason]
        return [*self.gold, *taught, *reasons]


TrainStudent = Callable[[StudentRows, Setup], Fitted]
"""Trains a student on its rows, in the folder of the setup."""


def teacher_inputs(setup: Setup, options: DistilOptions) -> list[TeacherInput]:
    """Return the inputs for the teacher: unlabelled ones, and labelled ones where that helps.

    A labelled row with a closed answer has nothing more to teach than its own answer, so under
    `gold: auto` the teacher is not paid for it; for free text it may write another right answer,
    and its reasons are new in any case. No more unlabelled inputs are paid for than `rows` are
    learnt.
    """
    order = sorted(setup.unlabelled, key=lambda query: digest(["source", query.id]))
    free = [TeacherInput(query) for query in order[: options.rows]]
    if _reads_labelled(options, setup.task.output.type == "text"):
        return [*free, *(TeacherInput(case.query(), case) for case in setup.train)]
    if not free:
        raise DoesNotApply(
            "every input has its right answer, so the teacher could only repeat it (`lora` learns "
            "from that): give data.unlabelled, or set `gold: only_teacher`"
        )
    return free


def _reads_labelled(options: DistilOptions, free_text: bool) -> bool:
    """Return whether the teacher also answers inputs of labelled rows (see `teacher_inputs`)."""
    new = options.gold == "only_teacher" or options.rationale or free_text
    return new or options.loss == "on_policy"


def make_student_rows(setup: Setup, options: DistilOptions, written: WrittenPairs) -> StudentRows:
    """Return the rows of the student. Raises DoesNotApply if no pair of the teacher is kept.

    Under `gold: auto` the student trains on every labelled row, so none of their pairs is held
    back: agreement with the teacher is that on inputs which the student never saw.
    """
    if not written.pairs:
        told = "; ".join(f"{len(ids)}: {why}" for why, ids in sorted(written.rejected.items()))
        raise DoesNotApply(
            f"none of the teacher's answers is kept ({told}): lower `agree`, or use another teacher"
        )
    order = sorted(written.pairs, key=lambda pair: digest(["held", pair.query.id]))
    gold = list(setup.train) if options.gold == "auto" else []
    seen = {case.messages for case in gold}
    unseen = [pair for pair in order if pair.query.messages not in seen]
    held = unseen[: min(MOST_HELD_BACK, len(unseen) // HELD_SHARE)]
    return StudentRows(gold, [pair for pair in order if pair not in held], held)


def student_rows_from_teacher(
    setup: Setup, teacher: Model, options: DistilOptions
) -> tuple[WrittenPairs, StudentRows]:
    """Return (pairs that the teacher wrote, the student's rows); asks the teacher.

    On policy the teacher writes for the held-back rows only.
    """
    sources = teacher_inputs(setup, options)
    if options.loss != "on_policy":
        written = write_pairs(setup, teacher, sources, options)
        return written, make_student_rows(setup, options, written)
    order = sorted(sources, key=lambda source: digest(["held", source.query.id]))
    count = min(MOST_HELD_BACK, len(order) // HELD_SHARE)
    written = write_pairs(setup, teacher, order[:count], options)
    own = [Pair(source.query, ()) for source in order[count:][: options.rows]]
    return written, StudentRows((), own, written.pairs)


def taught_rows(pair: Pair) -> list[Case]:
    """Return the training rows of a pair, one for each of its texts."""
    return [
        Case(
            id=f"{pair.query.id}{TAUGHT_SUFFIX}{n or ''}", messages=pair.query.messages, output=text
        )
        for n, text in enumerate(pair.texts)
    ]


def reasoned_row(pair: Pair) -> Case:
    """Return the training row of a pair's reason, which ends in its answer."""
    text = f"{pair.reason}\n{ANSWER_MARK} {pair.texts[0]}"
    return Case(id=f"{pair.query.id}{WHY_SUFFIX}", messages=pair.query.messages, output=text)


def taught_work(
    sizes: Sizes, options: DistilOptions, prompt: float, teacher: str = "teacher"
) -> Work:
    """Return the requests to the teacher, by its role, and the training of a student.

    The teacher answers inputs of `prompt` tokens: in each fold if its prompt differs by fold, else
    once. For `kl` it also reads each answer; on policy the student writes an answer to every row in
    every epoch, and the teacher reads it.
    """
    if options.learns != "teacher":
        return _student_work(sizes, options, sizes.train)
    folds = 1 if options.teacher_prompt in FIXED_PROMPTS else sizes.folds
    labelled = sizes.train * sizes.folds if _reads_labelled(options, sizes.free_text) else 0
    free = min(sizes.unlabelled, options.rows or sizes.unlabelled)
    asked = free + min(labelled, sizes.train)
    rows = _learnt_rows(sizes, options, free, asked)
    inputs: float = free + min(labelled, 2 * sizes.train)
    most = options.samples * (folds * free + sizes.train * sizes.folds)
    if options.loss == "on_policy":
        inputs = min(MOST_HELD_BACK, asked // HELD_SHARE)
    written = None
    if options.rationale:
        prompt += sizes.unit * len(ASK_WHY) / 4  # four characters a token
        written = sizes.cap + REASON_TOKENS
    asks = [
        Asks(role=teacher, requests=options.samples * inputs, most=most, shared=sizes.shared,
             own=prompt, repeats=options.samples, written=written)
    ]  # fmt: skip
    if options.loss != "text":  # it reads what the student learns or wrote
        passes = options.epochs if options.loss == "on_policy" else 1
        read = prompt + sizes.answer
        asks.append(Asks(role=teacher, requests=passes * rows, own=read, written=0.0, few=True))
    if options.loss == "on_policy":
        asks.append(Asks(role="tune", requests=options.epochs * rows, own=0.0, few=True))
    own = _student_work(sizes, options, rows)
    return own.model_copy(update={"asks": (*asks, *own.asks)})


def _student_work(sizes: Sizes, options: DistilOptions, rows: int) -> Work:
    """Return the answers and the training of a student of so many rows.

    A student with fewer layers counts as its share of the model, a classifier as no model at all.
    """
    own = training_work(sizes.model_copy(update={"train": rows}), options)
    changed: dict[str, Any] = {
        "trained": own.trained * (1.0 + (sum(CURVE_SHARES) if options.curve else 0.0))
    }
    if options.loss != "text" or options.rationale:
        changed["pace"] = "autograd"
    if options.student == "layers":
        changed["layers"] = 1 / options.every
    if options.learns == "nothing" or options.student == "classifier":
        changed |= {"trained": 0.0, "pace": ""}
    if options.student == "classifier":
        changed["asks"] = ()
    return own.model_copy(update=changed)


def _learnt_rows(sizes: Sizes, options: DistilOptions, free: int, asked: int) -> int:
    """Return the most rows that a student learns, if the teacher answers `asked` inputs.

    For free text every sample may be another right answer; a reason is a row of its own.
    """
    if options.loss == "on_policy" or options.learns != "teacher":
        return sizes.train + free
    gold = sizes.train if options.gold == "auto" else 0
    repeated = gold and asked - free  # answers that repeat their labelled row are learnt once
    several = sizes.free_text and not options.agree
    taught = options.samples * asked if several else asked - repeated
    return gold + taught + (asked if options.rationale else 0)
