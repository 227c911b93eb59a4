"""Helpers of the arms that train an adapter or all weights: options, training, dev scores."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from tuneworthy.arms._prompted import answer_token_limit, as_answer, mean_score, prompt_pack
from tuneworthy.arms._replay import replay_count, replay_rows
from tuneworthy.arms._trainers import Trainer, check_command, fit_by_command
from tuneworthy.arms.prompt.messages import build_all
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import (
    RETRY_TOKEN_FACTOR,
    Asks,
    Fitted,
    Pace,
    Recipe,
    Setup,
    Sizes,
    Work,
)
from tuneworthy.records.artefact import Pack
from tuneworthy.records.case import Case, Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.model import Model, Prompt, limits_for, scaled_limits
from tuneworthy.records.record import GrownRecord

# Rows a step by rows in all: few rows need small steps, so that there are enough of them.
_BATCH_BY_ROWS = ((512, 4), (1024, 8))
_LARGEST_BATCH = 16
_PILOT_ROWS = 100
_LEAST_STEP_TOKENS = 256  # tokens: a shorter step takes as long
_DEV_ROWS = 40  # dev rows for the choice of an epoch
_LEARNT_FILE, _COUNT_FIELDS = "learnt.json", ("rate", "rows", "replayed", "wanted")
_NOTED_RISE = 0.02  # a rise of the dev score over the best epoch before that earns a note
Prompts = Callable[[Sequence[Query]], Sequence[Prompt]]
Answers = Callable[[Sequence[Query], Model, int], list[Answer]]
_Tuned = TypeVar("_Tuned", bound="TrainingOptions")


class TrainingOptions(GrownRecord):
    """Options of training. `rate` None: by the size of the model (models/train/loop.py).

    `batch` None: 16 rows a step, 8 below 1,024 rows, 4 below 512.

    `prompt` short: the instruction alone, as training teaches the labels or the schema; full:
    with the list of labels or the schema that the prompt arms need. `patience` stops training
    once the dev score has not risen for so many epochs, or is 1; None trains all epochs: the rate
    falls towards 0 over them, so the last ones settle what the first ones found. `rows` limits the
    training rows, drawn by the seed. `shuffled` gives every row another row's answer: the placebo.

    `replay` is the share of general rows among all rows that are trained on (see `_replay`).
    `prompt_loss` w is the weight of a prompt token's loss. Prompt tokens are all that the chat
    template writes before the answer, but for the very first, which nothing predicts; the loss of a
    step is (sum over answer tokens + w × sum over prompt tokens) / (answer tokens + w × prompt
    tokens). 0 trains on answers alone, 1 is plain language modelling (Huerta-Enochian and Ko 2024,
    arXiv 2401.13586, on when it helps). Replayed rows and the dev loss count answers alone.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"replay", "prompt_loss"})

    epochs: Annotated[int, Field(ge=1, le=1000)] = 3
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    prompt: Literal["short", "full"] = "short"
    patience: Annotated[int, Field(ge=1, le=1000)] | None = None
    rows: Annotated[int, Field(ge=1)] | None = None
    shuffled: bool = False
    replay: Annotated[float, Field(ge=0, le=0.05)] = 0.0
    prompt_loss: Annotated[float, Field(ge=0, le=1)] = 0.0


class TuningOptions(TrainingOptions):
    """Options of training an adapter; its scale is alpha / rank, with `rslora` alpha / sqrt(rank).

    `rslora` keeps the size of the update where the rank is high (Kalajdzievski 2023, arXiv
    2312.03732). `dora` also trains a magnitude for every output of a layer (Liu et al. 2024, arXiv
    2402.09353): it may score higher at a low rank, and takes the slower general path. `trainer`: a
    command of the user's trains in the place of our loop (see models/train/by_command.py).
    """

    LATER: ClassVar[frozenset[str]] = TrainingOptions.LATER | {"dora", "rslora", "trainer"}

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    dora: bool = False
    rslora: bool = False
    trainer: Trainer = None


def model_to_tune(setup: Setup) -> Any:
    """Return the task's model to tune. Raises DoesNotApply if it can't be trained or has no row."""
    model: Any = setup.models["tune"]
    if not hasattr(model, "module") and not hasattr(model, "lend"):
        raise DoesNotApply(
            f"{model.spec} cannot be trained here; set `tune` to an open model (hf:ORG/NAME)"
        )
    if not setup.train:
        raise DoesNotApply("there is no training row")
    return model


def model_in_process(setup: Setup) -> Any:
    """Return the model to tune, its weights in this process; raises DoesNotApply otherwise."""
    model = model_to_tune(setup)
    if not hasattr(model, "module"):
        raise DoesNotApply(
            f"{model.spec} answers behind a server, and this arm needs its weights in this process:"
            " measure the model as hf:"
        )
    return model


def recipe_of(options: TrainingOptions) -> Recipe:
    """Return the recipe of the tuned model's prompts, in training and in answering."""
    return Recipe(kind="short" if options.prompt == "short" else "zero")


@dataclass(frozen=True)
class PromptingMethod:
    """How a trained arm prompts: `prompts` builds prompts for training and answering.

    `pack` describes it as plain data. `answers(queries, model, factor)` answers with `factor` times
    the token limit. `objective` replaces the likelihood of the training answers (see
    models/train/objective.py).
    """

    pack: Pack
    prompts: Prompts
    answers: Answers
    objective: Any = None


def prompting_with(setup: Setup, recipe: Recipe, examples: Sequence[Case] = ()) -> PromptingMethod:
    """Return the prompting method of a recipe, whose examples come from `examples`."""

    def prompts(queries: Sequence[Query]) -> list[Prompt]:
        return list(build_all(setup.task, queries, recipe, examples))

    def answers(queries: Sequence[Query], model: Model, factor: int) -> list[Answer]:
        asked = prompts(queries)
        replies = model.reply(
            asked, scaled_limits(limits_for(setup.task, answer_token_limit(setup)), factor)
        )
        return [as_answer(*each) for each in zip(queries, asked, replies, strict=True)]

    pack = prompt_pack(replace(setup, train=examples), recipe, role="tune", adapter=True)
    return PromptingMethod(pack, prompts, answers)


@dataclass(frozen=True)
class _TrainingResult:
    """What a training run returned, its learning rate with the reason, and counts of its rows."""

    done: Any
    rate: dict[str, Any]
    rows: int
    replayed: int
    wanted: int


def train_model(setup: Setup, options: TrainingOptions, seed: int, ask: PromptingMethod) -> Fitted:
    """Train on the training rows (or load a former run's result) and answer with the tuned model.

    An adapter is trained by TuningOptions, all weights by other options. A model behind a server of
    ours is trained in this process, on the same weights, and answers behind its server. Raises
    DoesNotApply if there is no row, or the model to tune cannot be trained here.
    """
    model = model_to_tune(setup)
    if ask.objective is not None and (options.replay or options.prompt_loss):
        raise DoesNotApply("`replay` and `prompt_loss` are of the likelihood, not of this loss")
    full = not isinstance(options, TuningOptions)
    if isinstance(options, TuningOptions) and options.trainer:
        check_command(options, ask.objective)
    if hasattr(model, "lend"):
        _check_served(options)
        learnt = _load_result(setup) or model.lend(
            lambda local: _train_with_proof(setup, options, seed, ask, local)
        )
    else:
        learnt = _train_and_record(setup, options, seed, ask, model)[0]
    done = learnt.done
    adapted = model.with_adapter(done.adapter)
    subset = f"learnt from {learnt.rows} of {len(setup.train)} rows"
    return Fitted(
        answer=lambda queries: ask.answers(queries, adapted, 1),
        longer=lambda queries: ask.answers(queries, adapted, RETRY_TOKEN_FACTOR),
        learned=True,
        recipe=ask.pack.recipe,
        trace={**done.trace, "dev": _chosen_dev(done.trace), "rate": learnt.rate},
        artefact=done.adapter,
        model=adapted,
        pack=ask.pack.model_copy(update={"adapter": not full, "weights": full}),
        notes=(
            *([subset] if learnt.rows < len(setup.train) else []),
            *_replay_notes(learnt.replayed, learnt.wanted),
            *_notes(done.trace),
        ),
    )


def _check_served(options: TrainingOptions) -> None:
    """Raise DoesNotApply for what a server can't load beside its base."""
    if not isinstance(options, TuningOptions):
        raise DoesNotApply("a server loads adapters beside its base, and no second set of weights")
    if options.dora:
        raise DoesNotApply("servers load no DoRA adapters: leave `dora` out, or measure as hf:")


def _train_with_proof(
    setup: Setup, options: TrainingOptions, seed: int, ask: PromptingMethod, local: Any
) -> _TrainingResult:
    """Train, and write the reference rows that later prove the adapter behind the server."""
    from tuneworthy.models.train.proof_rows import write_proof_rows

    learnt, train = _train_and_record(setup, options, seed, ask, local)
    write_proof_rows(local, learnt.done.adapter, train)
    counts = {name: getattr(learnt, name) for name in _COUNT_FIELDS}
    (setup.folder / _LEARNT_FILE).write_text(json.dumps(counts), "utf-8")
    return learnt


def _load_result(setup: Setup) -> _TrainingResult | None:
    """Return an earlier run's result from the unit's folder, None without one; load no weights."""
    from tuneworthy.models.train.lora import load_trained

    try:
        counts = json.loads((setup.folder / _LEARNT_FILE).read_text("utf-8"))
        values = {name: counts[name] for name in _COUNT_FIELDS}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    done = load_trained(setup.folder / "adapter")
    return _TrainingResult(done, **values) if done else None


def _train_and_record(
    setup: Setup, options: TrainingOptions, seed: int, ask: PromptingMethod, model: Any
) -> tuple[_TrainingResult, list[Any]]:
    """Train a model in this process; return the result and the training examples."""
    from tuneworthy.models.train.full import fit_full
    from tuneworthy.models.train.lora import fit_lora
    from tuneworthy.models.train.schedule import rate_of
    from tuneworthy.models.train.training_data import Example, TrainingData

    full = not isinstance(options, TuningOptions)
    rate = rate_of(model.module.config, options.rate, full=full)
    setup.say(f"learning rate {rate.value:g}: {rate.why}")

    def chosen(folder: Path) -> float:  # scores an epoch; a single epoch needs no choice
        return _dev_score(setup, ask.answers, model.with_adapter(folder))

    train = _make_examples(ask.prompts, training_rows(setup.train, options, seed))
    wanted = replay_count(options.replay, len(train))
    lessons = TrainingData(
        train=train,
        dev=_make_examples(ask.prompts, setup.dev),
        dev_score=chosen if options.epochs > 1 else None,
        say=setup.say,
        replay=[Example(*row) for row in replay_rows(setup, model, wanted)],
        objective=ask.objective,
    )
    how = training_settings(options, len(lessons.train), rate.value)
    if isinstance(options, TuningOptions) and options.trainer:
        done = fit_by_command(setup, options.trainer, model, lessons, how, seed)
    else:
        fit: Any = fit_full if full else fit_lora
        done = fit(model, lessons, how, seed, setup.folder)
    about = {"value": rate.value, "why": rate.why}
    return _TrainingResult(done, about, len(lessons.train), len(lessons.replay), wanted), train


def training_settings(options: TrainingOptions, rows: int, rate: float) -> Any:
    """Return the training settings for so many rows and a peak learning rate."""
    from tuneworthy.models.train.full import FullSettings
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings

    shared: dict[str, Any] = {
        "pace": TrainingSchedule(
            epochs=options.epochs, rate=rate, batch=_batch_size(options, rows)
        ),
        "patience": options.patience,
        "prompt_loss": options.prompt_loss,
    }
    if not isinstance(options, TuningOptions):
        return FullSettings(**shared)
    return LoraSettings(
        rank=options.rank,
        alpha=options.alpha,
        targets=options.targets,
        dora=options.dora,
        rslora=options.rslora,
        **shared,
    )


def _make_examples(prompts: Prompts, cases: Sequence[Case]) -> list[Any]:
    from tuneworthy.models.train.training_data import Example

    built = prompts([case.query() for case in cases])
    return [Example(c.id, prompt, c.output) for c, prompt in zip(cases, built, strict=True)]


def pilot_options(options: _Tuned) -> _Tuned:
    """Return the options of a pilot: the same training on at most 100 rows."""
    return options.model_copy(update={"rows": min(options.rows or _PILOT_ROWS, _PILOT_ROWS)})


def training_rows(cases: Sequence[Case], options: TrainingOptions, seed: int) -> Sequence[Case]:
    """Return the training rows, each with another row's answer if `shuffled`.

    The shuffle is a single cycle, so no row keeps its own answer.
    """
    if options.rows is not None and options.rows < len(cases):
        cases = random.Random(f"rows {seed}").sample(list(cases), options.rows)
    if not options.shuffled:
        return cases
    order = list(range(len(cases)))
    random.Random(seed).shuffle(order)
    after = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [c.model_copy(update={"output": cases[after[i]].output}) for i, c in enumerate(cases)]


def _dev_score(setup: Setup, answers: Answers, model: Model) -> float:
    rows = sorted(setup.dev, key=lambda case: case.id)[:_DEV_ROWS]
    return mean_score(setup, rows, answers([case.query() for case in rows], model, 1))


def _chosen_dev(trace: dict[str, Any]) -> float | None:
    """Return the dev score of the epoch that was kept, None if it was not scored."""
    kept = [epoch for epoch in trace["evaluations"] if epoch["epoch"] == trace["chosen"]]
    return kept[0]["dev_score"] if kept else None


def _notes(trace: dict[str, Any]) -> tuple[str, ...]:
    left = trace["rows"]["excluded"]
    out = [f"{len(ids)} training rows left out: {reason}" for reason, ids in left.items()]
    if saved := trace.get("weights"):
        out.append(f"the tuned weights take {saved['bytes'] / 1e6:,.0f} MB in .tuneworthy")
    dev_scores = [e["dev_score"] for e in trace["evaluations"] if e["dev_score"] is not None]
    if why := trace.get("stopped_early"):
        out.append(f"training stopped after epoch {len(trace['evaluations'])}: {why}")
    elif len(dev_scores) > 1 and dev_scores[-1] > max(dev_scores[:-1]) + _NOTED_RISE:
        out.append("its dev score still rose in the last epoch: more epochs may score higher")
    return tuple(out)


def _replay_notes(given: int, wanted: int) -> tuple[str, ...]:
    if given == wanted:
        return ()
    return (f"{given} of {wanted} general rows replayed: the base ended no more answers in time",)


def _batch_size(options: TrainingOptions, rows: int) -> int:
    return options.batch or next(
        (size for below, size in _BATCH_BY_ROWS if rows < below), _LARGEST_BATCH
    )


def training_work(sizes: Sizes, options: TrainingOptions, passages: float = 0.0) -> Work:
    """Return the cost of one training run, its dev answers after every epoch, and the scored ones.

    `passages`: tokens of context a row. A step of few tokens takes as long as one of 256, because
    every weight is read once however short the rows are.
    """
    own = sizes.own + passages
    checked = options.epochs * min(sizes.dev, _DEV_ROWS) if options.epochs > 1 else 0
    rows = min(sizes.train, options.rows or sizes.train)
    rows += replay_count(options.replay, rows)
    steps = math.ceil(rows / _batch_size(options, rows))
    return Work(
        asks=(
            Asks(role="tune", requests=sizes.cases, own=own),
            Asks(role="tune", requests=checked, own=own, few=True),
        ),
        answer=sizes.answer,
        trained=options.epochs * max(rows * (own + sizes.answer), _LEAST_STEP_TOKENS * steps),
        pace=_training_path(options),
    )


def _training_path(options: TrainingOptions) -> Pace:
    """Return the path that trains, by name; the CPU engine's gradient is for plain adapters."""
    if not isinstance(options, TuningOptions):
        return "whole"
    if options.trainer:
        return "elsewhere"
    return "autograd" if options.dora or options.prompt_loss else "adapter"
