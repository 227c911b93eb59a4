"""P1: random SIGKILLs of a study that trains a LoRA on a tiny random-weight model."""

import itertools
import random
import shutil
import sys
from pathlib import Path

import pytest
from tests import studies
from tests.faults.killing import kill_everywhere

SCRIPT = Path(__file__).parent / "lora_study.py"
KILLS = 10


@pytest.mark.full
def test_p1_a_training_study_killed_at_random_steps_ends_in_the_same_verdict(tmp_path, monkeypatch):
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
            arms=["majority", "tfidf", {"lora": {"epochs": 2, "rank": 2}}],
            data={"file": "rows.jsonl", "folds": 2},
            output={"type": "label", "max_tokens": 4},
        )
        shutil.copytree(tiny, folder / "tiny")
        return folder

    chosen = set(random.Random(0).sample(range(1, 40), KILLS))
    kills = kill_everywhere(
        lambda folder: [sys.executable, str(SCRIPT)],
        fresh,
        "verdict.json",
        steps=lambda k: k in chosen or k > 200,
    )
    assert len(kills) >= KILLS / 2
