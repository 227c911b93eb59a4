"""The arm contract: one way to get answers. An arm is a module; these are its types.

A module in `arms/` defines

    TOOL        one of core.task.TOOLS, or "" for a reference or ceiling that is no tool
    ROLE        "candidate" | "reference" | "ceiling"
    SIMPLICITY  an int; smaller is simpler inside a tool
    NEEDS       a frozenset of NEEDS below; what is missing makes the arm `skipped`, with why
    Options     a Record with a default for every field
    fit(setup, options, seed) -> Fitted      (raises DoesNotApply(why), or a TuneworthyError)
    placebo(options) -> options              (optional) the same arm, active ingredient out
    REMEDY      (optional) what kind of failure it repairs, a core.causes.Remedy: the matrix is then
                read across with it, and diagnose/remedies.py has the causes it may repair. PLACEBO
                says in words what its placebo is. PERMUTED = True: the placebo is its own answers
                scored against another case's gold
    VARIANTS    (optional) more options, as plain data, that `arms: auto` may run it at: the
                stage rule decides, once the arm itself was scored
    ON_FAILURES (optional) True: too dear for every case. Under `arms: auto` it is asked on
                60 of the failed cases only, to read across; named in `arms:` it runs on all
    CONTEXT     (optional) True: its score is a point of the context curve, at the `kind` and `k` of
                its recipe (see extras/context_curve.py)
    pilot(options) -> options                (optional) a small run of the same arm: it is what is
                set beside its placebo, before the arm itself is paid for, where that costs less
    estimate(sizes, options) -> Work         (optional) what it will cost, for the plan
    asks(sizes, options) -> tuple[Asks, ...] (optional) the requests that an endpoint is sent, where
                they are not one a case with the prompt of `estimate`
    CHOOSES     (optional) False: it chooses nothing on dev rows. It then learns from training and
                dev rows together, and `setup.dev` is empty
    CHOOSES_PROMPT (optional) True: it chooses the prompt that it stands on among `setup.prompts`,
                on dev rows in its own setting (see arms/_choice.py). A placebo is handed no
                prompts and stands on `setup.recipe`, the prompt that its arm chose
    BY_NAME     (optional) True: it runs only where task.yaml names it, not under `arms: auto`
    here(options) -> dict                    (optional) what of this machine, beside the models it
                asks, changes its answers (an encoder that was fetched or not): part of every key

It never sees a scored case's output: `Setup` has training and dev cases, `answer` gets queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.case import Case, Query
from tuneworthy.core.model import Model
from tuneworthy.core.record import Record
from tuneworthy.core.task import Task

Role = Literal["candidate", "reference", "ceiling", "placebo"]
NEEDS = frozenset(
    {"labels", "schema", "docs", "gold_passage", "bigger", "teacher", "unlabelled", "training",
     "model", "present", "vectors", "reflection"}
)  # fmt: skip
LONGER = 4  # times the tokens that a cut answer is asked again with


class Recipe(Record):
    """How a prompt is built, so that later arms can stand on the best one (see prompting/).

    `kind`: zero (instruction and what an answer looks like), few (k fixed shots), nearest (k shots
    nearest the query), short (the instruction alone), file (the user's own template `text`,
    `{input}` replaced). Shots are ids of training cases. `specification` stands in place of the
    task's own words (instruction and what an answer looks like), `reminder` after each input; a
    short or file recipe has neither.
    """

    kind: Literal["zero", "few", "nearest", "short", "file"] = "zero"
    k: int = 0
    shots: tuple[str, ...] = ()
    text: str | None = None
    shuffled: bool = False
    specification: str | None = None
    reminder: str | None = None

    @property
    def learned(self) -> bool:
        """Return whether training rows decide what the prompt says: its examples or its words."""
        written = self.specification is not None or self.reminder is not None
        return self.kind in ("few", "nearest") or written


class Sizes(Record):
    """Counts and mean lengths, in tokens, that an estimate is made from.

    `cases` will be answered (scored and dev); `train`, `dev` are rows of one fold; `shared` is
    the prompt prefix common to all, `own` the rest of a prompt, `shot` one example, `answer` a
    gold answer, `cap` the most an answer may take, `labels` all labels together, `passage` a
    passage of the documents (0 without documents), `form` the schema or labels that a request for
    a constrained answer brings. `unit`: the length of a token (of 4 bytes where lengths are bytes).
    `folds`: how often an arm is fitted. `examples`: how many the best prompt so far may bring for
    each input, which are shared with no other. `prompts`: how many prompts an arm that chooses its
    own is handed (0 or 1: there is nothing to choose).
    """

    cases: int
    train: int
    dev: int
    shared: float
    own: float
    shot: float
    answer: float
    cap: float
    labels: float
    passage: float = 0.0
    form: float = 0.0
    unit: float = 1.0
    folds: int = 1
    examples: int = 4
    prompts: int = 0

    @property
    def asked(self) -> float:
        """Return the tokens of an input with the examples that the best prompt brings for it."""
        return self.own + self.examples * self.shot


class Work(Record):
    """What an arm asks of the machine: requests, tokens read, written and trained on."""

    requests: int = 0
    read: float = 0.0
    written: float = 0.0
    trained: float = 0.0


class Asks(Record):
    """Requests that an arm makes of one model, each with its whole prompt: what a server is sent.

    `role` is a key of `Setup.models`. `requests` are expected, `most` the most there may be; `read`
    are the tokens of a prompt, `written` those of an answer (None: an answer of the task). `few`:
    asked of some rows again and again, which may be longer than most.
    """

    role: str = "base"
    requests: float
    most: float
    read: float
    written: float | None = None
    few: bool = False


@dataclass(frozen=True)
class Setup:
    """What an arm may learn from: training cases, dev cases (inside the training fold), models.

    `models` has the keys base, tune, bigger, teacher as far as the task names them, and reflection
    (the teacher, else the bigger one: it writes prompts), each opened when first read. `recipe` is
    the best prompt of this fold so far, by dev score. `prompts` are the simplest few prompts that
    were measured in this fold, the simplest first: only for an arm that CHOOSES_PROMPT, empty where
    none was measured and for a placebo. `folder` is this unit's own: what an arm leaves there
    survives a kill; `common` is one for all units, for what no row changes (vectors of the
    documents), None where nothing is kept. `score` is the task's metric; `say(text)` shows
    progress; `docs` are (id, title, text, from, to) records. `recorded` holds the logged answers of
    this arm by case id, where it has any. `given(recipe)` returns what the base model answered
    freely and greedily under a recipe in this fold, where an arm before asked it.
    """

    task: Task
    train: Sequence[Case]
    dev: Sequence[Case]
    models: Mapping[str, Model]
    score: Callable[[Case, Answer], Score | Unscored]
    folder: Path
    recipe: Recipe = Recipe()
    prompts: Sequence[Recipe] = ()
    unlabelled: Sequence[Query] = ()
    docs: Sequence[Any] = ()
    recorded: Mapping[str, Answer] = field(default_factory=dict)
    common: Path | None = None
    given: Callable[[Recipe], Sequence[Answer]] = lambda recipe: ()
    say: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Fitted:
    """An arm ready to answer: `answer(queries)` gives one answer a query, in order.

    `learned`: the answers depend on the training rows (its paired bounds are then widened under
    cross-fitting). `recipe`: the prompt it stands on, if any. `trace`: per-step and per-run
    figures of training. `artefact`: what was written to `setup.folder`. `model` is what
    answers, for latency and fingerprint. `known(query)` returns the answer that `answer` would give
    where that is known beforehand, else None: what is known is not asked for. `longer(queries)`
    gives the answers with LONGER times the tokens, for answers that the token limit ended; None
    where that limit is not ours.
    """

    answer: Callable[[Sequence[Query]], list[Answer]]
    learned: bool
    recipe: Recipe | None = None
    trace: dict[str, Any] | None = None
    artefact: Path | None = None
    model: Model | None = None
    notes: tuple[str, ...] = field(default=())
    known: Callable[[Query], Answer | None] | None = None
    longer: Callable[[Sequence[Query]], list[Answer]] | None = None
