"""The arm contract: an arm is one way to get answers, and a module; these are its types.

A module in `arms/` defines

    TOOL        one of records.task.TOOLS, or "" for a reference or ceiling that is no tool
    ROLE        "candidate" | "reference" | "ceiling"
    SIMPLICITY  an int; smaller is simpler inside a tool
    NEEDS       a frozenset of NEEDS below; an unmet need makes the arm `skipped`, with the reason
    Options     a Record with a default for every field
    fit(setup, options, seed) -> Fitted      (raises DoesNotApply(why), or a TuneworthyError)
    placebo(options) -> options              (optional) the same arm without its active ingredient
    REMEDY      (optional) the kind of failure it repairs, a records.causes.Remedy: the diagnosis
                then uses the arm, and explain/diagnosis.py has the causes it may repair. PLACEBO
                says in words what its placebo is. PERMUTED = True: the placebo is its own answers
                scored against another case's gold
    VARIANTS    (optional) more options, as plain data, that `arms: auto` may run it at: the
                schedule decides whether and when
    ON_FAILURES (optional) True: too expensive for every case. Under `arms: auto` it runs on 60 of
                the failed cases only, for the diagnosis; named in `arms:` it runs on all cases
    CONTEXT     (optional) True: its score is a point of the context curve, at the `kind` and `k` of
                its recipe (see measure/further/prompt_search.py)
    pilot(options) -> options                (optional) a smaller run of the same arm, compared with
                its placebo before the arm itself is paid for, where that costs less
    estimate(sizes, options) -> Work         (optional) its requests and its training, for the plan
                and its price: what a machine or an endpoint has to do is computed from them
    does_not_apply(task) -> str              (optional) why it has nothing to do on a task, or ""
    CHOOSES     (optional) False: it chooses nothing on dev rows. It then learns from training and
                dev rows together, and `setup.dev` is empty
    CHOOSES_PROMPT (optional) True: it chooses its prompt among `setup.prompts`, on dev rows in its
                own setting (see arms/_choice.py). A placebo gets no prompts and uses
                `setup.recipe`, the prompt that its arm chose
    BUILDS_ON_PROMPT (optional) True: it uses `setup.recipe`, the best prompt of its fold so far
    WITHOUT_GOLD (optional) True: it can answer where no row has a right answer. Any other arm is
                `skipped` there, as by an unmet need
    BY_NAME     (optional) True: it runs only where task.yaml names it, not under `arms: auto`
    READS_FILE  (optional) True: its option `file` is a file of the user, whose text counts
    UNLABELLED  (optional) True: it learns from `setup.unlabelled` too, where there are any
    place(options) -> (tool, role)           (optional) in place of TOOL and ROLE, by its options
    needs(options) -> frozenset              (optional) in place of NEEDS, by its options
    recorded_system(options) -> str          (optional) the recorded system whose answers it gives
                in part, in place of its own; "" if none
    companions(options, task) -> ((arm, options), ...)  (optional) arms that are measured too where
                the task names a teacher: they are shown beside it
    here(options) -> dict                    (optional) properties of this machine, other than its
                models, that change its answers (is an encoder downloaded?): part of every key

An arm never sees the output of a scored case: `Setup` has training and dev cases, `answer` gets
queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.artefact import Pack
from tuneworthy.records.artefact import Recipe as Recipe
from tuneworthy.records.case import Case, Query
from tuneworthy.records.model import Model
from tuneworthy.records.record import Record
from tuneworthy.records.task import Task

Role = Literal["candidate", "reference", "ceiling", "placebo"]
NEEDS = frozenset(
    {"labels", "schema", "docs", "gold_passage", "bigger", "teacher", "unlabelled", "training",
     "model", "present", "vectors", "reflection", "decision", "encoder", "setfit"}
)  # fmt: skip
RETRY_TOKEN_FACTOR = 4  # factor on the token limit when a truncated answer is generated again


class Sizes(Record):
    """Counts and mean lengths, in tokens, for cost estimates.

    `cases` is the number of cases to answer (scored and dev); `train`, `dev` are rows of one fold;
    `shared` is the prompt prefix common to all, `own` the rest of a prompt, `shot` one example,
    `answer` a gold answer, `cap` the token limit of an answer, `labels` all scored labels together,
    `passage` a passage of the documents (0 without documents), `form` the schema or labels that a
    request for a constrained answer carries. `unit`: the length of a token (4 bytes where lengths
    are in bytes). `folds`: how often an arm is fitted. `examples`: how many examples per input the
    best prompt so far may add; they are not shared between inputs. `prompts`: how many prompts an
    arm that chooses its own gets (0 or 1: there is no choice). `unlabelled` counts the inputs
    without answers. `free_text`: answers are free text.
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
    unlabelled: int = 0
    free_text: bool = False

    @property
    def input_tokens(self) -> float:
        """Return the mean tokens of an input, with the examples that the best prompt adds to it."""
        return self.own + self.examples * self.shot


_TEACHING_ROLES = ("teacher", "reflection")  # models that teach an arm's own model or write to it
Pace = Literal["", "adapter", "autograd", "whole", "elsewhere"]


class Asks(Record):
    """Requests of one kind that an arm sends to a model, with the tokens of one of them.

    `role` is a key of `Setup.models`. `requests` is the expected number, `most` the maximum (None:
    the same). A prompt has `shared` tokens, which a local model reads `prefixes` times for all of
    them, and `own` tokens, which it reads once for `repeats` requests with the same prompt. An
    answer has `written` tokens (None: those of the task's answers). `few`: the requests repeat a
    few rows, which may be longer than most.
    """

    role: str = "base"
    requests: float
    most: float | None = None
    shared: float = 0.0
    own: float
    prefixes: float = 1.0
    repeats: int = 1
    written: float | None = None
    few: bool = False

    @property
    def read(self) -> float:
        """Return the tokens of one prompt: the shared ones and its own."""
        return self.shared + self.own

    @property
    def at_most(self) -> float:
        """Return the maximum number of requests."""
        return self.requests if self.most is None else self.most


class Work(Record):
    """The cost of an arm: the requests that it sends, and the tokens that it trains on.

    `answer` are the tokens of an answer of the task. `encoded` tokens are read without a request.
    `pace` is how a token is trained on: an adapter, an adapter by autograd (a loss or a change that
    the CPU engine does not know), the whole model, or elsewhere (a command); "" without training.
    `layers` is the share of the model's layers that the arm's own model has.
    """

    asks: tuple[Asks, ...] = ()
    answer: float = 0.0
    encoded: float = 0.0
    trained: float = 0.0
    pace: Pace = ""
    layers: float = 1.0

    @classmethod
    def total(cls, requests: int, read: float, written: float) -> Work:
        """Return the work of so many requests, by the tokens of all of them together."""
        share = 1 / max(requests, 1)
        return cls(asks=(Asks(requests=requests, own=share * read, written=share * written),))

    @property
    def requests(self) -> int:
        """Return how many requests the arm sends, without those that repeat a few rows."""
        return round(sum(one.requests for one in self.asks if not one.few))

    @property
    def read(self) -> float:
        """Return the tokens that the arm's own model reads on this machine, without training."""
        return self.encoded + self._read(teaching=False)

    @property
    def written(self) -> float:
        """Return the tokens that the arm's own model writes."""
        return self._written(teaching=False)

    @property
    def taught_read(self) -> float:
        """Return the tokens that the arm's teacher reads on this machine."""
        return self._read(teaching=True)

    @property
    def taught_written(self) -> float:
        """Return the tokens that the arm's teacher writes."""
        return self._written(teaching=True)

    def _read(self, *, teaching: bool) -> float:
        asks = [one for one in self.asks if (one.role in _TEACHING_ROLES) == teaching]
        shared = sum(one.prefixes * one.shared for one in asks if one.requests)
        return shared + sum(one.requests / one.repeats * one.own for one in asks)

    def _written(self, *, teaching: bool) -> float:
        asks = [one for one in self.asks if (one.role in _TEACHING_ROLES) == teaching]
        return sum(
            one.requests * (self.answer if one.written is None else one.written) for one in asks
        )


@dataclass(frozen=True)
class Setup:
    """What an arm may learn from: training cases, dev cases (inside the training fold), models.

    `models` has the keys base, tune, bigger, decision, teacher as far as the task names them, and
    reflection (the teacher, else the bigger model: it writes prompts); each model loads on first
    access.
    `recipe` is the best prompt of this fold so far, by dev score. `prompts` are the simplest few
    prompts measured in this fold, simplest first: only for an arm that CHOOSES_PROMPT, empty if
    none was measured and for a placebo. `folder` belongs to this unit: files that an arm leaves
    there survive a kill. `common` is shared by all units, for data that does not depend on rows
    (document vectors); None where nothing is kept. `score` is the task's metric; `say(text)` shows
    progress; `docs` are (id, title, text, from, to) records. `recorded` holds the logged answers of
    this arm by case id, if there are any. `given(recipe)` returns the base model's unconstrained
    greedy answers under a recipe in this fold, if an earlier arm requested them.
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
    """An arm ready to answer: `answer(queries)` returns one answer per query, in order.

    `learned`: the answers depend on the training rows (its paired bounds are then widened under
    cross-fitting). `recipe`: the prompt it uses, if any. `trace`: per-step and per-run figures of
    training. `artefact`: what was written to `setup.folder`. `model` is the answering model, for
    latency and fingerprint. `known(query)` returns the answer of `answer` if it is available
    without a request, else None. `longer(queries)` answers again with RETRY_TOKEN_FACTOR times the
    tokens, for answers that the token limit cut; None where that limit is not ours.
    `again(queries, n)` draws the answers anew, for the n-th time. `pack`: how it
    answers, as plain data, for `build`; None for an arm that is never deployed. `classifier` is the
    fitted scikit-learn estimator of an arm without a model.
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
    again: Callable[[Sequence[Query], int], list[Answer]] | None = None
    pack: Pack | None = None
    classifier: Any = None
