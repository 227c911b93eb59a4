"""The cells of the atlas: every type of task of the suite at every size, on fixed test rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tuneworthy.models.local.wheel import NAME
from tuneworthy.records.errors import TaskError
from tuneworthy.records.measured_task import MeasuredTask
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.record import digest
from tuneworthy.suite import GeneratedTask

SIZES = (100, 250, 1000)
TEST_ROWS = 200  # test rows of a type, the same at every size
ROW_SEED, ARM_SEEDS = 0, 3  # the seed of the rows; the number of seeds of each trained arm
GENERATED_ROWS = 1500  # of which the first two thirds are to learn from
MODEL = NAME
MOST_KEY_CHARACTERS = 80
# A ceiling, not a candidate: the model's score with the gold passage in its prompt.
READING_CEILING = "oracle"
ARMS = (
    "majority", "tfidf", "embedding_head", "zero_shot", "few_shot", "nearest_shots", "constrained",
    READING_CEILING, "rag", "lora", "rag_lora", "distil",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A type of task (a file of suite/) at a number of rows to learn from."""

    name: str
    size: int

    @property
    def id(self) -> str:
        """Return the cell's name on the command line: `clause_type-250`."""
        return f"{self.name}-{self.size}"

    def key(self, model: str) -> str:
        """Return the key of the cell's entry for a model: small letters, digits, _ and dashes.

        A name that loses letters by it, or is too long, ends in its digest, so that no two models
        share a key.
        """
        name = model.lower().removeprefix("hf:")
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)
        key = f"{self.id}-{plain}".rstrip("-")
        if name.isascii() and len(key) <= MOST_KEY_CHARACTERS:
            return key
        return f"{key[: MOST_KEY_CHARACTERS - 9].rstrip('-')}-{digest(model, 8)}"

    @property
    def kind(self) -> str:
        """Return the type of task in plain words."""
        return _small_task(self.name).title


def all_cells() -> list[Cell]:
    """Return every cell, the smallest sizes of all types first."""
    return [Cell(name, size) for size in SIZES for name in catalogue("suite")]


def find_cells(ids: list[str]) -> list[Cell]:
    """Return the cells of these ids (all if empty). Raises TaskError for an unknown id."""
    known = {cell.id: cell for cell in all_cells()}
    for name in ids:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise TaskError("the atlas has no such cell", where="command line", got=name,
                            fix=f"{hint}there are: {', '.join(known)}", kept="")  # fmt: skip
    return [known[name] for name in dict.fromkeys(ids)] or list(known.values())


def applicable_arms(made: GeneratedTask, teacher: bool = False) -> list[str]:
    """Return the names of the arms that apply to a type of task, in ladder order.

    `distil` needs a teacher; arms that read documents need documents, and so on.
    """
    met = {"labels": made.task["output"]["type"] == "label", "docs": bool(made.docs),
           "gold_passage": bool(made.docs), "teacher": teacher}  # fmt: skip
    fits = [name for name in ARMS if all(met.get(need, True) for need in load("arms", name).NEEDS)]
    closed = made.task["output"]["type"] in ("label", "json")
    return [name for name in fits if name != "constrained" or closed]


def inapplicable_arms(made: GeneratedTask) -> Iterator[str]:
    """Yield the names of the arms that do not apply to a type of task."""
    applies = applicable_arms(made)
    yield from (name for name in ARMS if name not in applies)


def unscored_arms(cell: Cell, card: MeasuredTask) -> list[str]:
    """Return the names of the arms that apply to a cell and have no score in its entry `card`."""
    scored = {arm.name for arm in card.arms if arm.score is not None}
    scored |= {READING_CEILING} if card.reading is not None else set()
    return [name for name in applicable_arms(sample_task(cell)) if name not in scored]


def facts_change(made: GeneratedTask) -> bool:
    """Return whether some documents of a task end on a day, as later versions replace them."""
    return any(doc.get("to") for doc in made.docs)


@lru_cache
def generated_task(name: str) -> GeneratedTask:
    """Return GENERATED_ROWS rows of a type, which all its cells share; this takes seconds."""
    made: GeneratedTask = load("suite", name).make(ROW_SEED, GENERATED_ROWS)
    return made


@lru_cache
def _small_task(name: str) -> GeneratedTask:
    """Return twelve rows of a type, for facts that do not depend on the number of rows."""
    made: GeneratedTask = load("suite", name).make(ROW_SEED, 12)
    return made


def sample_task(cell: Cell) -> GeneratedTask:
    """Return a task of few rows of the cell's type, which shows its title, form and documents."""
    return _small_task(cell.name)


def split_rows(cell: Cell) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a cell's rows to learn from and its test rows, which all sizes of a type share.

    Raises TaskError if the type has too few rows for the cell.
    """
    made = generated_task(cell.name)
    learn, test = made.rows[: made.split], made.rows[made.split :]
    if cell.size > len(learn) or len(test) < TEST_ROWS:
        raise TaskError("this type of task has too few rows for the cell", where=cell.id,
                        got=f"{len(learn)} to learn from", fix="choose a smaller size",
                        kept="")  # fmt: skip
    return list(learn[: cell.size]), list(test[:TEST_ROWS])
