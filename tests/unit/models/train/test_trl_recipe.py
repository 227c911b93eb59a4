"""The recipe for TRL trains the embedded model: the verdict is that of our own loop."""

import shlex
import sys
from pathlib import Path

import pytest
from tests import studies

from tuneworthy.models.local.wheel import locate

RECIPE = Path(__file__).parents[4] / "examples" / "trainers" / "trl_sft.py"
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(locate() is None, reason="the embedded model is not on this machine"),
]
SPREAD = 0.2  # three seeds of our own loop on 36 rows gave .80, .88 and .95, of 60 test rows


def results(folder, arm):
    """Return the results of a study with one trained arm; both share what else is measured."""
    import tuneworthy

    path = studies.write(
        folder, model="smollm2-135m", present=None, arms=["majority", arm],
        data={"train": "train.jsonl", "test": "test.jsonl"},
        instruction="Which kind is the message?",
        output={"type": "label", "labels": list(studies.LABELS)},
        budget={"minutes": 60, "stages": False},
    )  # fmt: skip
    made = studies.rows(60)
    studies.lines(folder / "train.jsonl", made[:36])
    studies.lines(folder / "test.jsonl", made[36:])
    return tuneworthy.run(path, tuneworthy.RunOptions(brief=True, pay=True)).results


def test_the_recipe_for_trl_gives_the_verdict_of_our_own_loop(tmp_path):
    pytest.importorskip("trl")
    pytest.importorskip("datasets")
    how = {"epochs": 2, "batch": 4, "rate": 2e-3}
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(RECIPE))} {{options}}"
    arms = [{"lora": how}, {"lora": {**how, "trainer": {"command": command}}}]
    own, trl = (results(tmp_path, arm) for arm in arms)
    assert trl.verdict.use == own.verdict.use == "tune"
    scores = [next(a.score for a in one.evidence.arms if a.name == one.verdict.arm).mean
              for one in (own, trl)]  # fmt: skip
    assert abs(scores[0] - scores[1]) <= SPREAD
