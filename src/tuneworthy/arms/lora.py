"""The task's open model with a low-rank adapter (LoRA) trained on the training rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from tuneworthy.arms._prompted import as_answer, mean_score, room
from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.core.case import Case, Query
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.model import Limits, Model
from tuneworthy.core.record import Record
from tuneworthy.prompting.messages import build

TOOL, ROLE, SIMPLICITY = "tune", "candidate", 10
NEEDS = frozenset({"training"})
REMEDY, PLACEBO = "learnable", "the same training on shuffled answers"
_PILOT = 100
# Rows a step by rows in all: few rows need small steps, so that there are enough of them.
_BATCHES = ((512, 4), (1024, 8))
_BATCH = 16
_RISE = 0.02  # a rise of the dev score, from the best epoch before, that is worth a word


class Options(Record):
    """Size and pace of training. `batch` None: 16 rows a step, 8 below 1,024 rows, 4 below 512.

    `prompt` short: the instruction alone. The list of labels or the schema that the prompt arms
    need is what training teaches; full: with it. `patience` stops once the dev score has not risen
    for so many epochs, or is 1; None trains them all: the rate falls towards 0 over all epochs, so
    the last ones settle what the first ones found. `rows` learns from at most so many, drawn by
    the seed. `shuffled` gives every row the answer of another one: the placebo.
    """

    epochs: Annotated[int, Field(ge=1, le=1000)] = 3
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    prompt: Literal["short", "full"] = "short"
    patience: Annotated[int, Field(ge=1, le=1000)] | None = None
    rows: Annotated[int, Field(ge=1)] | None = None
    shuffled: bool = False


def placebo(options: Options) -> Options:
    """Return the same training on shuffled answers: form is learnt, the task is not."""
    return options.model_copy(update={"shuffled": True})


def pilot(options: Options) -> Options:
    """Return the same training on at most 100 rows."""
    return options.model_copy(update={"rows": min(options.rows or _PILOT, _PILOT)})


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train on the training rows (or load what a former run left) and answer with the adapter.

    Raises DoesNotApply where there is no row, or the model to tune cannot be trained here.
    """
    model: Any = setup.models["tune"]
    if not hasattr(model, "module"):
        raise DoesNotApply(
            f"{model.spec} cannot be trained here; set `tune` to an open model (hf:ORG/NAME)"
        )
    if not setup.train:
        raise DoesNotApply("there is no training row")
    from tuneworthy.training.lora import Lessons, fit_lora

    recipe = Recipe(kind="short" if options.prompt == "short" else "zero")
    lessons = Lessons(
        train=_examples(setup, recipe, _taught(setup.train, options, seed)),
        dev=_examples(setup, recipe, setup.dev),
        dev_score=lambda folder: _dev_score(setup, recipe, model.with_adapter(folder)),
        say=setup.say,
    )
    done = fit_lora(model, lessons, _settings(options, len(lessons.train)), seed, setup.folder)
    tuned = model.with_adapter(done.adapter)
    return Fitted(
        answer=lambda queries: _answers(setup, recipe, tuned, queries),
        learned=True,
        recipe=recipe,
        trace={**done.trace, "dev": _chosen_dev(done.trace)},
        artefact=done.adapter,
        model=tuned,
        notes=_notes(done.trace),
    )


def _settings(options: Options, rows: int) -> Any:
    from tuneworthy.training.loop import Pace
    from tuneworthy.training.lora import LoraSettings

    usual = next((size for below, size in _BATCHES if rows < below), _BATCH)
    batch = options.batch or usual
    return LoraSettings(
        rank=options.rank,
        alpha=options.alpha,
        targets=options.targets,
        pace=Pace(epochs=options.epochs, rate=options.rate, batch=batch),
        patience=options.patience,
    )


def _examples(setup: Setup, recipe: Recipe, cases: Sequence[Case]) -> list[Any]:
    from tuneworthy.training.lora import Example

    return [Example(c.id, build(setup.task, c.query(), recipe, ()), c.output) for c in cases]


def _taught(cases: Sequence[Case], options: Options, seed: int) -> Sequence[Case]:
    """Return the rows to learn from, each with the answer of another one where they are shuffled.

    They are shuffled in a cycle, so none keeps its own.
    """
    if options.rows is not None and options.rows < len(cases):
        cases = random.Random(f"rows {seed}").sample(list(cases), options.rows)
    if not options.shuffled:
        return cases
    order = list(range(len(cases)))
    random.Random(seed).shuffle(order)
    after = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [c.model_copy(update={"output": cases[after[i]].output}) for i, c in enumerate(cases)]


def _answers(setup: Setup, recipe: Recipe, model: Model, queries: Sequence[Query]) -> list[Answer]:
    prompts = [build(setup.task, query, recipe, ()) for query in queries]
    replies = model.reply(prompts, Limits(max_tokens=room(setup)))
    return [as_answer(*each) for each in zip(queries, prompts, replies, strict=True)]


def _dev_score(setup: Setup, recipe: Recipe, model: Model) -> float:
    answers = _answers(setup, recipe, model, [case.query() for case in setup.dev])
    return mean_score(setup, setup.dev, answers)


def _chosen_dev(trace: dict[str, Any]) -> float | None:
    """Return the dev score of the epoch that was kept: by it the best seed is found."""
    kept = [seen for seen in trace["evaluations"] if seen["epoch"] == trace["chosen"]]
    return kept[0]["dev_score"] if kept else None


def _notes(trace: dict[str, Any]) -> tuple[str, ...]:
    left = trace["rows"]["excluded"]
    out = [f"{len(ids)} training rows left out: {reason}" for reason, ids in left.items()]
    seen = [told["dev_score"] for told in trace["evaluations"] if told["dev_score"] is not None]
    if why := trace.get("stopped_early"):
        out.append(f"training stopped after epoch {len(trace['evaluations'])}: {why}")
    elif len(seen) > 1 and seen[-1] > max(seen[:-1]) + _RISE:
        out.append("its dev score still rose in the last epoch: more epochs may score higher")
    return tuple(out)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work of one training run, its dev answers after every epoch, and the scored ones.

    The shared prompt is read once a step, so it hardly counts.
    """
    answered = sizes.cases + options.epochs * sizes.dev
    rows = min(sizes.train, options.rows or sizes.train)
    return Work(
        requests=sizes.cases,
        read=answered * sizes.own,
        written=answered * sizes.answer,
        trained=options.epochs * rows * (sizes.own + sizes.answer),
    )
