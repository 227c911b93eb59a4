"""Measure a model's prompt and answer tokens per second on this machine, for the plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from tuneworthy.arms.prompt.messages import build, common_system
from tuneworthy.arms.retrieval.chunks import chunked
from tuneworthy.models import size_beside, training_path
from tuneworthy.models._reply_cache import uncached
from tuneworthy.records.arm import Pace, Sizes, Work
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.model import SCORED_LABELS, Limits, Model
from tuneworthy.records.run import Spec
from tuneworthy.records.task import Task
from tuneworthy.records.tokens import text_tokens
from tuneworthy.rows.docs import Doc

Tell = Callable[[str, str], None]

_SAMPLE_PROMPTS = 24
_BATCH_ROWS = 32  # batch size if the model does not state one
TIMED_CALLS = 2  # calls, of which the quickest counts: single calls varied by a fifth
_LONG_CALL_SECONDS = 5.0  # a call that takes longer is not repeated: the study's pace corrects it
_BUSY_SHARE = 0.25  # share of CPU time used by other programs from which a warning is given
_LEAST_CPU_SECONDS = 0.3  # CPU seconds below which the share of other programs is not computed


def mean_sizes(
    task: Task,
    cases: Sequence[Case],
    train: int,
    dev: int,
    model: Model | None,
    docs: Sequence[Doc] = (),
) -> Sizes:
    """Return the mean lengths of a task's texts in tokens; estimated if there is no model."""

    def count(messages: Sequence[Message]) -> int:
        if model is not None:
            return model.count_tokens(messages)
        return round(sum(text_tokens(message.content) for message in messages))

    def length(text: str) -> int:
        return count([Message(role="user", content=text)])

    sample = _spread_sample(cases)
    bare, lead = length(""), common_system(sample)
    empty = Query(id="", messages=(*lead, Message(role="user", content="")))
    shared = count(build(task, empty, Recipe(), ()))
    own = [count([m for m in case.messages if m not in lead]) - bare for case in sample]
    answer = [length(case.output) - bare + 1 for case in sample]
    mean_own, mean_answer = sum(own) / len(own), sum(answer) / len(answer)
    labels = task.output.labels or ()
    if len(labels) > SCORED_LABELS:  # they are decoded, not scored
        labels = ()
    return Sizes(
        cases=len(cases),
        train=train,
        dev=dev,
        shared=shared,
        own=mean_own,
        shot=mean_own + mean_answer + 10,
        answer=mean_answer,
        cap=task.output.token_limit,
        labels=float(sum(length(label) - bare + 1 for label in labels)),
        passage=_mean_passage_length(docs, lambda text: length(text) - bare),
        free_text=task.output.type == "text",
    )


def _spread_sample(items: Sequence[Any]) -> list[Any]:
    """Return at most `_SAMPLE_PROMPTS` items, evenly spread: files are often sorted by length."""
    count = min(len(items), _SAMPLE_PROMPTS)
    return [items[at * len(items) // count] for at in range(count)]


def _mean_passage_length(docs: Sequence[Doc], length: Callable[[str], int]) -> float:
    """Return the mean length of a sample of the documents' passages; 0 without documents."""
    lengths = [length(chunk.text) for chunk in chunked(_spread_sample(docs))]
    return sum(lengths) / len(lengths) if lengths else 0.0


def busy_warning(speed: Speed) -> str:
    """Return a warning if other programs used this machine during the measurement, else ""."""
    if speed.others < _BUSY_SHARE:
        return ""
    return (
        f"other programs take {100 * speed.others:.0f} % of this machine: the plan is timed as it"
        " is now, and may leave out what a quiet machine has room for"
    )


def measure_speed(
    task: Task, cases: Sequence[Case], model: Model, tell: Tell = lambda event, text: None
) -> Speed:
    """Return the speed at which a model reads and writes tokens here, from short warm calls.

    Each call is a full batch, as in the study: fewer rows leave a GPU idle. `tell` gets ("say",
    text) once if the model runs on this machine, since that can take minutes, and ("at", text)
    before each call.
    """
    what = f"timing {model.spec} on a few of your rows, for the minutes of the plan"
    shown = getattr(model, "net", None) is not None

    def at(call: str) -> None:
        if shown:
            tell("at", f"{what}: {call}")

    if shown:
        tell("say", what)
    queries = [case.query() for case in cases[: getattr(model, "full", _BATCH_ROWS)]]
    prompts = [build(task, query, Recipe(), ()) for query in queries]
    with uncached():
        at("a first one")
        model.reply(prompts[:1], Limits(max_tokens=1))
        begun = _cpu_seconds()
        at(f"{len(prompts)} rows, one token each")
        short = _quickest_seconds(model, prompts, 1)
        at(f"{len(prompts)} rows, nine tokens each")
        long = _quickest_seconds(model, prompts, 9)
    shared = model.count_tokens(prompts[0][:-1]) if len(prompts[0]) > 1 else 0
    read = sum(model.count_tokens(p) - shared for p in prompts) + shared
    written = 8 * len(prompts) / max(long - short, 1e-3)
    engine, single = training_path(model)
    read_speed = max(read, 1) / max(short, 1e-3)
    teacher = size_beside(task.teacher, task.folder, model) if task.teacher else 1.0
    return Speed(
        read_speed, written, _other_programs_share(begun, _cpu_seconds()), engine, single, teacher
    )


def _cpu_seconds() -> tuple[float, float, float]:
    """Return CPU seconds since boot: total, idle, and this program's own."""
    times = psutil.cpu_times()
    # The time of guests is already counted in user time.
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    return sum(times) - guest, idle, time.process_time()


def _other_programs_share(
    begun: tuple[float, float, float], ended: tuple[float, float, float]
) -> float:
    """Return the share of CPU time that other programs used; 0 if too short to tell."""
    total, idle, own = (after - before for before, after in zip(begun, ended, strict=True))
    return max(0.0, 1 - (idle + own) / total) if total > _LEAST_CPU_SECONDS else 0.0


def _quickest_seconds(model: Model, prompts: Sequence[Sequence[Message]], tokens: int) -> float:
    """Return the seconds of the quickest of TIMED_CALLS replies, or of the first long one."""
    taken: list[float] = []
    for _ in range(TIMED_CALLS):
        start = time.perf_counter()
        model.reply(prompts, Limits(max_tokens=tokens))
        taken.append(time.perf_counter() - start)
        if taken[-1] > _LONG_CALL_SECONDS:
            break
    return min(taken)


# Cost of a training step of an adapter in forward passes: backward costs about two, and the loop
# measured 3.1 to 3.4 in total on two machines.
TRAINING_FACTOR = 3.3
# Autograd takes about 2.8 times as long as the CPU engine's written-out gradient (one thread).
AUTOGRAD_FACTOR = 2.8
# Training all weights needs three products a weight and token, an adapter needs two.
ALL_WEIGHTS_FACTOR = 1.5


@dataclass(frozen=True)
class Speed:
    """Tokens per second of this machine: `read` prompt tokens, `written` answer tokens in bulk.

    `others`: the share of CPU time that other programs took during the measurement. `engine`: the
    CPU engine trains adapters. `single_precision_ratio`: the time of a product in single precision
    over that in the model's. `teacher`: the teacher's parameters over the model's, 0 behind an
    endpoint, None if its size is unknown.
    """

    read: float
    written: float
    others: float = 0.0
    engine: bool = False
    single_precision_ratio: float = 1.0
    teacher: float | None = 1.0

    def minutes(self, work: Work) -> float:
        """Return the estimated minutes of this work."""
        read = work.read + self.passes(work.pace) * work.trained
        own = work.layers * (read / self.read + work.written / self.written)
        taught = work.taught_read / self.read + work.taught_written / self.written
        return (own + taught * (1.0 if self.teacher is None else self.teacher)) / 60

    def passes(self, pace: Pace) -> float:
        """Return how many read tokens take as long as one trained token, at this pace."""
        autograd = TRAINING_FACTOR * (AUTOGRAD_FACTOR if self.engine else 1.0)
        if pace == "whole":
            return autograd * ALL_WEIGHTS_FACTOR * self.single_precision_ratio
        return autograd if pace == "autograd" else TRAINING_FACTOR

    def assumptions(self, works: Iterable[tuple[Spec, Work]]) -> tuple[str, ...]:
        """Return one sentence for each assumed factor behind the minutes of the training arms."""
        by_pace: dict[Pace, list[str]] = {}
        blind: list[str] = []
        for spec, work in works:
            if work.trained:
                by_pace.setdefault(work.pace, []).append(spec.name)
            if self.teacher is None and (work.taught_read or work.taught_written):
                blind.append(spec.name)
        lines = [
            f"{', '.join(names)}: a trained token counts {self.passes(pace):.1f} tokens read, "
            f"{_PACE_SOURCES[pace]}"
            for pace, names in by_pace.items()
        ]
        if blind:
            lines.append(
                f"{', '.join(blind)}: the size of the teacher is unknown, so it is taken to be as "
                "fast as the model"
            )
        return tuple(lines)


_PACE_SOURCES: dict[Pace, str] = {
    "": "by figures of other machines",
    "adapter": "by figures of other machines",
    "autograd": "as autograd finds the gradient, by figures of other machines",
    "elsewhere": "as if our loop trained it: how fast its command is, is unknown",
    "whole": "by its share of trained weights and its precision, not measured",
}
