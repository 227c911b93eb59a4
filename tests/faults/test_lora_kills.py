"""P1: random SIGKILLs of a study that trains a LoRA on a tiny random-weight model."""

import itertools
import random
import shutil
from pathlib import Path

import pytest
from tests import studies
from tests.faults.killing import Zygote, durable_steps, kill_everywhere

SCRIPT = Path(__file__).parent / "lora_study.py"
FEW = {"checkpoint.sync": 1, "anywhere else": 1}  # kills
MANY = {"checkpoint.before": 7, "checkpoint.sync": 5, "anywhere else": 8}


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "seed"),
    [(FEW, 0), (MANY, 1)],
    ids=["few", "many"],
)
def test_p1_a_training_study_killed_at_random_steps_ends_in_the_same_verdict(
    tmp_path, monkeypatch, where, seed
):
    pytest.importorskip("peft")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "unit" / "models"))
    from models_kit import build

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tiny = build("llama", tmp_path / "tiny")
    numbers = itertools.count()

    def fresh():
        folder = tmp_path / "studies" / str(next(numbers))
        studies.write(
            folder,
            n=60,
            model="hf:./tiny",
            arms=["majority", "tfidf", {"lora": {"epochs": 2, "rank": 4, "rate": 0.02}}],
            data={"file": "rows.jsonl", "folds": 2},
            output={"type": "label", "max_tokens": 4},
        )
        shutil.copytree(tiny, folder / "tiny")
        return folder

    with Zygote(SCRIPT) as command:
        passed = durable_steps(command, fresh())
        assert {name.split(".")[0] for name in passed} >= {
            "adapter",
            "checkpoint",
            "epoch",
            "put",
            "scored",
        }, passed
        draw = random.Random(seed)
        steps = {name: [] for name in where}
        for k, name in enumerate(passed, 1):
            steps[name if name in where else "anywhere else"].append(k)
        chosen = {k for name, count in where.items() for k in draw.sample(steps[name], count)}
        kills = kill_everywhere(
            command, fresh, "verdict.json", steps=lambda k: k in chosen or k > len(passed)
        )
    assert {kill.k for kill in kills} >= chosen  # a slow machine logs more steps
    struck = [kill.step for kill in kills]
    inside = [name for name in where if name != "anywhere else"]
    assert sum(name in inside for name in struck) >= len(chosen) / 3
    if where is MANY:
        assert sum(kill.in_flight for kill in kills) >= 0.3 * len(kills), "nothing was at risk"
