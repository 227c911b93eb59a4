"""Read the shipped atlas: measured tasks, their place on the map, advisers, findings, a forecast.

The file is LZMA over lines of JSON. The first line holds all figures, each further line the scored
cases and recorded answers of one task.
"""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import exp, log1p, log2
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import Field

from tuneworthy.records import __version__
from tuneworthy.records.counting import count_noun
from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredTask
from tuneworthy.records.record import Record
from tuneworthy.records.task import OutputType

COUNT_FACTS = frozenset({"rows", "answer_words"})  # facts that are never negative

TYPES: tuple[OutputType, ...] = ("label", "json", "text", "number")

_FORECAST_WEIGHT = 0.9  # weight of the fitted forecast; the rest are the winners' frequencies


class Forecast(Record):
    """A multinomial logistic regression on scaled facts, mixed with the winners' frequencies.

    Fitted on `n` firm tasks of `kinds` types. By position: `facts` have `means` and `scales`,
    `tools` have `frequencies`, `offsets` and rows of `weights` (one weight a fact). `answers` is
    the number of answers from which the facts of a task are taken: the entropy of the same labels
    falls with it. Brier scores lie between 0 (best) and 2: `brier` of forecasts of types left out,
    `frequency_brier` of the frequencies alone.
    """

    n: int
    kinds: int
    answers: int
    facts: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    tools: tuple[str, ...]
    frequencies: tuple[float, ...]
    offsets: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    brier: float
    frequency_brier: float

    def probabilities(self, facts: Mapping[str, float]) -> dict[str, float]:
        """Return the probability of each tool to win. Raises KeyError if a fact is missing."""
        plain = [log1p(facts[name]) if name in COUNT_FACTS else facts[name] for name in self.facts]
        scaled = [
            (value - mean) / scale
            for value, mean, scale in zip(plain, self.means, self.scales, strict=True)
        ]
        levels = [
            offset + sum(weight * value for weight, value in zip(row, scaled, strict=True))
            for offset, row in zip(self.offsets, self.weights, strict=True)
        ]
        shares = [exp(level - max(levels)) for level in levels]
        return {
            tool: _FORECAST_WEIGHT * share / sum(shares) + (1 - _FORECAST_WEIGHT) * frequency
            for tool, share, frequency in zip(self.tools, shares, self.frequencies, strict=True)
        }

    def line(self, facts: Mapping[str, float]) -> str:
        """Return the sentence with the forecast that `check` prints."""
        ranked = sorted(self.probabilities(facts).items(), key=lambda pair: -pair[1])
        said = ", ".join(f"{tool} {100 * share:.0f} %" for tool, share in ranked if share >= 0.05)
        return (
            f"Prior, not a measurement of your rows: on {count_noun(self.n, 'measured task')} of"
            f" {self.kinds} types, rows like yours: {said} (Brier {self.brier:.2f} on types left"
            f" out; frequencies alone {self.frequency_brier:.2f})."
        )


def row_features(outputs: Sequence[str], rows: int, type_: OutputType | None) -> dict[str, float]:
    """Return {fact: number} of the right answers, without a model; {} without answers.

    `rows`, the number of rows to learn from; `label_entropy` of the answers, as a share of the most
    that so many answers can have (0: all alike, 1: all different); `answer_words`, their mean
    number of words; `type_…`, 1 for the type of the answers and 0 for the others.
    """
    if not outputs:
        return {}
    counts = Counter(output.strip() for output in outputs).values()
    bits = -sum(n / len(outputs) * log2(n / len(outputs)) for n in counts)
    forms = {f"type_{name}": float(name == type_) for name in TYPES} if type_ else {}
    return {
        "rows": float(rows),
        "label_entropy": bits / log2(len(outputs)) if len(outputs) > 1 else 0.0,
        "answer_words": fmean(len(output.split()) for output in outputs),
        **forms,
    }


ATLAS_FILE = Path(__file__).parent / "atlas.json.xz"

COST_VIEWS = (("none", "Quality alone"), ("seconds", "Seconds count"), ("usd", "Money counts"))

NOT_MEASURED = "not measured yet"


class ChosenArm(Record):
    """The arm that some views name for a measured task (None: no arm), and why ("": the verdict's).

    A view's name is a cost of COST_VIEWS, a dash, and 1 if facts change, else 0: `seconds-1`.
    `left_out` names the arms that these views leave out.
    """

    views: tuple[str, ...]
    arm: str | None
    why: str = ""
    left_out: tuple[str, ...] = ()


class AtlasTask(Record):
    """A measured task with the texts and choices that were made of its figures.

    `line` says on what it was measured, `bound` how much better another arm may be ("": not
    stated); `notes` warn of its model. `figures_only`: its rows and answers are not published.
    `references` names arms that others are only compared with, `holds_facts` those whose changed
    facts need another training.
    """

    card: MeasuredTask
    version: str
    line: str
    bound: str
    chosen: tuple[ChosenArm, ...]
    notes: tuple[str, ...] = ()
    figures_only: bool = False
    references: tuple[str, ...] = ()
    holds_facts: tuple[str, ...] = ()

    def chosen_arm(self, view: str = "none-0") -> ChosenArm:
        """Return the arm that a view names."""
        return next(each for each in self.chosen if view in each.views)


class AtlasCell(Record):
    """A cell of the map: a type of task at a size; `key` of its task, None if not measured yet.

    `without` names the arms that apply to it and have no score.
    """

    id: str
    kind: str
    size: int
    key: str | None = None
    without: tuple[str, ...] = ()


class AdviserScore(Record):
    """An adviser's line of the table: counts of tasks, and means that are None if unmeasured.

    `shown_right` is the share of `right` among n tasks, all but those whose named tool was
    `unmeasured`; `winners` counts tasks whose verdict names the same tool. `brier` is the mean
    multi-class Brier score from 0 to 2 over `brier_n` firm tasks, `lost` the mean points lost by
    following the advice over `lost_n` tasks. `needless` counts trainings that were not needed;
    `seconds` and `usd` are the sums over the `timed` and `priced` ones of them. `uniform` counts
    answers that were no distribution. `skipped` says why it was not asked ("": it was).
    """

    name: str
    label: str
    sees: str
    blind: str
    assumes: str = ""
    skipped: str = ""
    n: int = 0
    right: int = 0
    wrong: int = 0
    open: int = 0
    unmeasured: int = 0
    silent: int = 0
    uniform: int = 0
    winners: int = 0
    shown_right: Interval | None = None
    brier: Interval | None = None
    brier_n: int = 0
    lost: Interval | None = None
    lost_n: int = 0
    needless: int = 0
    timed: int = 0
    priced: int = 0
    seconds: float | None = None
    usd: float | None = None


class AdviceTable(Record):
    """Every adviser on every task. `tasks` counts those scored, `left_out` the blocked ones.

    `uniform_brier` is the mean Brier score of equal probabilities on the same firm tasks.
    `predictor` says whether facts of the rows were shown to forecast the winner.
    """

    tasks: int
    firm: int
    groups: int
    left_out: int
    advisers: tuple[AdviserScore, ...]
    uniform_brier: float | None = None
    predictor: str = ""


class FindingBar(Record):
    """One bar of a finding: its name, mean and bounds (None if they were not recorded).

    `strong`: the headline is about this bar.
    """

    name: str
    mean: float
    bounds: Interval | None
    strong: bool = False


class HeadlineFinding(Record):
    """A headline, its explanation, its bars, on what it was measured, and its evidence.

    `entry` is the key of a measured task or "", `claim` the number of an experiment or 0.
    """

    headline: str
    means: str
    rows: tuple[FindingBar, ...]
    measured_on: str
    entry: str = ""
    claim: int = 0


class Atlas(Record):
    """All figures of the atlas. `notes` warn of what holds for every task, such as a small model.

    `cells` are the map, row by row. `guess` is the data of the page where visitors guess the
    winner. `forecast` is None unless it is shown to be better than the winners' frequencies.
    """

    cells: tuple[AtlasCell, ...]
    tasks: tuple[AtlasTask, ...]
    advice: AdviceTable
    guess: dict[str, Any]
    findings: tuple[HeadlineFinding, ...]
    models: tuple[str, ...]
    notes: tuple[str, ...]
    forecast: Forecast | None = None

    def task(self, key: str) -> AtlasTask | None:
        """Return a measured task by its key; None if there is no such task."""
        return next((task for task in self.tasks if task.card.key == key), None)

    @property
    def rows(self) -> dict[str, list[AtlasCell]]:
        """Return {type of task: cells of the map, in the order of sizes}."""
        table: dict[str, list[AtlasCell]] = {}
        for cell in self.cells:
            table.setdefault(cell.kind, []).append(cell)
        return table

    @property
    def outside_map(self) -> list[AtlasTask]:
        """Return the measured tasks that have no cell on the map."""
        placed = {cell.key for cell in self.cells}
        return [task for task in self.tasks if task.card.key not in placed]

    @property
    def all_notes(self) -> list[str]:
        """Return the notes, with one on tasks that other versions of tuneworthy measured."""
        others = [task.version for task in self.tasks if task.version != __version__]
        if not others:
            return list(self.notes)
        count, versions = count_noun(len(others), "measured task"), sorted(set(others))
        return [*self.notes, f"{count} of tuneworthy {', '.join(versions)}; this is {__version__}"]


class RecordedAnswer(Record):
    """One arm's answer to a case; the text is None if none came, the score if it was not scored."""

    arm: str
    text: str | None
    score: float | None = Field(default=None, ge=0, le=1)


class RecordedCase(Record):
    """A scored case of a measured task, with the answers behind its arms' scores."""

    id: str
    input: str
    gold: str
    answers: tuple[RecordedAnswer, ...]


def read_atlas() -> Atlas:
    """Return the figures of the shipped atlas."""
    return _read_figures(ATLAS_FILE)


@lru_cache(maxsize=1)
def _read_figures(path: Path) -> Atlas:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return Atlas.model_validate_json(file.readline())


def read_cases(key: str) -> list[RecordedCase]:
    """Return the scored cases of a measured task with all answers; [] if only figures ship."""
    with lzma.open(ATLAS_FILE, "rt", encoding="utf-8") as file:
        next(file)
        for line in file:
            task = json.loads(line)
            if task["key"] == key:
                return [RecordedCase.model_validate(case) for case in task["cases"]]
    return []
