"""The cells of the atlas: every type of task at every size, on fixed test rows.

A type is a file of the suite, or a public set whose rows lie in a folder beside the project.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.atlas.public_sets import SETS, public_task

from tuneworthy.models.local.wheel import NAME
from tuneworthy.records.errors import TaskError
from tuneworthy.records.measured_task import MeasuredTask
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.record import digest
from tuneworthy.suite import GeneratedTask

SIZES = (100, 250, 1000)
PUBLIC_SIZES = (100, 250, 400)
TEST_ROWS = 200  # test rows of a type, the same at every size
ROW_SEED, ARM_SEEDS = 0, 3  # the seed of the rows; the number of seeds of each trained arm
GENERATED_ROWS = 1500  # of which the first two thirds are to learn from
MODEL = NAME
MOST_KEY_CHARACTERS = 80
# A ceiling, not a candidate: the model's score with the gold passage in its prompt.
READING_CEILING = "oracle"
# A cell of the map is whole with these arms that apply to it; the queue measures more.
ARMS = (
    "majority", "tfidf", "embedding_head", "zero_shot", "few_shot", "nearest_shots", "constrained",
    READING_CEILING, "rag", "lora", "rag_lora", "distil",
)  # fmt: skip
MORE_ARMS = ("encoder", "setfit", "optimised_prompt", "vote", "full")


@dataclass(frozen=True)
class Cell:
    """A type of task at a number of rows to learn from; `data` holds it if it is a public set."""

    name: str
    size: int
    data: Path | None = None

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
        return sample_task(self).title


def all_cells() -> list[Cell]:
    """Return every cell of the suite, the smallest sizes of all types first."""
    return [Cell(name, size) for size in SIZES for name in catalogue("suite")]


def public_cells(data: Path | None) -> list[Cell]:
    """Return the cells of the public sets below `data` that have the rows; none without it."""
    if data is None:
        return []
    found = [Cell(name, size, data) for size in PUBLIC_SIZES for name in SETS]
    return [cell for cell in found if (data / cell.name).is_dir() and _has_rows(cell)]


def find_cells(ids: list[str], data: Path | None = None) -> list[Cell]:
    """Return the cells of these ids (all if empty). Raises TaskError for an unknown id."""
    known = {cell.id: cell for cell in (*all_cells(), *public_cells(data))}
    for name in ids:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise TaskError("the atlas has no such cell", where="command line", got=name,
                            fix=f"{hint}there are: {', '.join(known)}", kept="")  # fmt: skip
    return [known[name] for name in dict.fromkeys(ids)] or list(known.values())


def applicable_arms(
    made: GeneratedTask, teacher: bool = False, arms: Sequence[str] = ARMS
) -> list[str]:
    """Return which of `arms` apply to a type of task, in their order.

    `distil` needs a teacher; arms that read documents need documents, and so on.
    """
    met = {"labels": made.task["output"]["type"] == "label", "docs": bool(made.docs),
           "gold_passage": bool(made.docs), "teacher": teacher}  # fmt: skip
    fits = [name for name in arms if all(met.get(need, True) for need in load("arms", name).NEEDS)]
    closed = made.task["output"]["type"] in ("label", "json")
    return [name for name in fits if name != "constrained" or closed]


def inapplicable_arms(made: GeneratedTask) -> Iterator[str]:
    """Yield the names of the arms that do not apply to a type of task."""
    applies = applicable_arms(made)
    yield from (name for name in ARMS if name not in applies)


def unscored_arms(cell: Cell, card: MeasuredTask) -> list[str]:
    """Return the names of the arms that apply to a cell and have no score in its entry `card`."""
    scored = scored_arms(card)
    return [name for name in applicable_arms(sample_task(cell)) if name not in scored]


def scored_arms(card: MeasuredTask) -> set[str]:
    """Return the names of the arms that have a score in an entry, the reading ceiling included."""
    scored = {arm.name for arm in card.arms if arm.score is not None}
    return scored | ({READING_CEILING} if card.reading is not None else set())


def facts_change(made: GeneratedTask) -> bool:
    """Return whether some documents of a task end on a day, as later versions replace them."""
    return any(doc.get("to") for doc in made.docs)


@lru_cache
def generated_task(cell: Cell) -> GeneratedTask:
    """Return all rows of a cell's type; to generate those of the suite takes seconds."""
    if cell.data is not None:
        return public_task(cell.name, cell.data)
    return _suite_task(cell.name, GENERATED_ROWS)


@lru_cache
def _suite_task(name: str, rows: int) -> GeneratedTask:
    made: GeneratedTask = load("suite", name).make(ROW_SEED, rows)
    return made


def sample_task(cell: Cell) -> GeneratedTask:
    """Return a task of the cell's type that shows its title, form and documents: of twelve rows."""
    return generated_task(cell) if cell.data else _suite_task(cell.name, 12)


def _has_rows(cell: Cell) -> bool:
    made = generated_task(cell)
    return cell.size <= made.split and len(made.rows) - made.split >= TEST_ROWS


def split_rows(cell: Cell) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a cell's rows to learn from and its test rows, which all sizes of a type share.

    Raises TaskError if the type has too few rows for the cell.
    """
    made = generated_task(cell)
    learn, test = made.rows[: made.split], made.rows[made.split :]
    if not _has_rows(cell):
        raise TaskError("this type of task has too few rows for the cell", where=cell.id,
                        got=f"{len(learn)} to learn from", fix="choose a smaller size",
                        kept="")  # fmt: skip
    return list(learn[: cell.size]), list(test[:TEST_ROWS])
