"""P1: kill -9 at every durable step of a scripted + tfidf study; the same verdict but for times."""

import importlib
import itertools
import json

import pytest
from tests import studies
from tests.faults.killing import forked, kill_everywhere

from tuneworthy.flows.study import run
from tuneworthy.store.store import open_ledger

SMALL = {"arms": ["present", "majority", "tfidf", "zero_shot", "few_shot"],
         "data": {"file": "rows.jsonl", "folds": 2}}  # fmt: skip
IMPORTED = ("scipy.stats", "sklearn.feature_extraction.text", "sklearn.linear_model")


@forked
def study(folder):
    run(folder / "task.yaml")
    verdict = next((folder / "results").glob("*/verdict.json"))
    (folder / "verdict.json").write_bytes(studies.timeless(verdict.read_bytes()))


def units(folder):
    with open_ledger(folder, write=False) as ledger:
        rows = ledger.journal.rows("unit")
        return [row.name for row in rows]


@pytest.mark.parametrize(
    "every",
    [pytest.param(15, marks=pytest.mark.full), pytest.param(1, marks=pytest.mark.long)],
)
def test_p1_a_study_killed_at_any_durable_step_ends_in_the_same_verdict(tmp_path, every):
    numbers = itertools.count()
    for module in IMPORTED:  # once, and not in every child
        importlib.import_module(module)

    def fresh():
        folder = tmp_path / str(next(numbers))
        studies.write(folder, n=30, **SMALL)
        return folder

    kills = kill_everywhere(study, fresh, "verdict.json", steps=lambda k: k % every == 0)
    assert len(kills) >= 20 / every
    for folder in tmp_path.iterdir():
        names = units(folder)
        assert len(names) == len(set(names)), "a finished unit ran again"
    assert len({json.dumps(units(f)) for f in tmp_path.iterdir()}) == 1
