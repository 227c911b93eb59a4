"""Our loop and the recipe for TRL on the same rows of snips_json: scores within the seeds' spread.

The shortest rows are trained, so that one side takes some minutes on one core; no study is run
around it, which would train placebos and time answers. TUNEWORTHY_SNIPS_FOLDER keeps the adapters
and figures, so that a run that was stopped goes on.
"""

import json
import os
import sys
import time
from pathlib import Path
from statistics import fmean

import pytest

from tuneworthy.models.local.wheel import locate

ROOT = Path(__file__).parents[2]
SNIPS = ROOT.parent / "shared" / "data" / "snips_json"
RECIPE = f"{sys.executable} {ROOT}/examples/trainers/trl_sft.py {{options}}"
TRAIN, TEST = 64, 40
SEEDS = {"own": (0, 1, 2), "trl": (0, 1)}
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(locate() is None, reason="the embedded model is not on this machine"),
    pytest.mark.skipif(not SNIPS.exists(), reason="snips_json is not on this machine"),
]


def examples(name, count):
    """Return the `count` shortest rows among the first 400 of a file."""
    from tuneworthy.models.train.training_data import Example
    from tuneworthy.records.case import Message

    told = json.loads((SNIPS / "task.json").read_text("utf-8"))["instruction"]
    lines = (SNIPS / f"{name}.jsonl").read_text("utf-8").splitlines()[:400]
    rows = [json.loads(line) for line in lines]
    pairs = sorted(((row["input"], json.dumps(row["output"])) for row in rows), key=lengths)
    return [
        Example(f"{name}{i}", (Message(role="system", content=told),
                               Message(role="user", content=text)), answer)
        for i, (text, answer) in enumerate(pairs[:count])
    ]  # fmt: skip


def lengths(pair):
    return sum(map(len, pair)), pair


def measured(model, trainer, seed, folder):
    """Train (or read what was trained); return rows, score, answers and seconds."""
    from tuneworthy.models.train.by_command import CommandRun
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings, fit_lora
    from tuneworthy.models.train.training_data import TrainingData
    from tuneworthy.records.answer import Answer, value_or_zero
    from tuneworthy.records.case import Case
    from tuneworthy.records.model import Limits
    from tuneworthy.records.plugins import load

    kept, begun = folder / "figures.json", time.process_time()
    if kept.exists():
        return json.loads(kept.read_text())
    settings = LoraSettings(pace=TrainingSchedule(epochs=1, batch=8, rate=2e-3))
    data = TrainingData(examples("train", TRAIN), (), None)
    fit = CommandRun(RECIPE, ".", folder, 3600.0).fit if trainer == "trl" else fit_lora
    done = fit(model, data, settings, seed, folder)
    trained, tests = time.process_time() - begun, examples("test", TEST)
    tuned = model.with_adapter(done.adapter)
    replies = tuned.reply([row.messages for row in tests], Limits(max_tokens=64))
    score = load("metrics", "fields_f1").score
    values = [
        value_or_zero(score(Case(id=row.id, messages=row.messages, output=row.answer),
                            Answer(case=row.id, text=reply.text), {}))
        for row, reply in zip(tests, replies, strict=True)
    ]  # fmt: skip
    found = {"rows": done.trace["rows"], "score": fmean(values),
             "answers": [reply.text for reply in replies],
             "seconds": [round(trained, 1), round(time.process_time() - begun, 1)]}  # fmt: skip
    kept.write_text(json.dumps(found))
    return found


def test_scores_of_both_trainers_lie_within_the_spread_of_the_seeds(tmp_path):
    pytest.importorskip("trl")
    from tuneworthy.models import open_model

    home = Path(os.environ.get("TUNEWORTHY_SNIPS_FOLDER", tmp_path))
    model, found = open_model("smollm2-135m", folder=home), {}
    for trainer, seeds in SEEDS.items():
        for seed in seeds:
            folder = home / f"{trainer}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            one = found[trainer, seed] = measured(model, trainer, seed, folder)
            print(trainer, seed, f"score {one['score']:.4f}, processor seconds", one["seconds"])
    for seed in SEEDS["trl"]:
        own, trl = found["own", seed], found["trl", seed]
        equal = sum(a == b for a, b in zip(own["answers"], trl["answers"], strict=True))
        print(f"seed {seed}: {equal} of {TEST} answers equal")
        assert trl["rows"] == own["rows"]
    own, trl = ([found[t, s]["score"] for s in seeds] for t, seeds in SEEDS.items())
    assert abs(fmean(own) - fmean(trl)) <= max(own) - min(own)
