"""Our loop and TRL's on the same rows of snips_json: scores within the spread of the seeds.

The rows stay outside of the project. TUNEWORTHY_SNIPS_FOLDER keeps the study, so that a run that
was stopped goes on.
"""

import json
import os
from pathlib import Path
from statistics import fmean

import pytest

from tuneworthy.models.local.embedded import locate

SNIPS = Path(__file__).parents[3] / "shared" / "data" / "snips_json"
TRAIN, TEST, SEEDS = 48, 40, 3
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(locate() is None, reason="the embedded model is not on this machine"),
    pytest.mark.skipif(not SNIPS.exists(), reason="snips_json is not on this machine"),
]


def scores_by_trainer(folder):
    """Run (or finish) the study; return {trainer: [mean score of each seed]} and equal answers."""
    from tuneworthy import study
    from tuneworthy.core.run_options import RunOptions

    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", TRAIN), ("test", TEST)):
        lines = (SNIPS / f"{name}.jsonl").read_text("utf-8").splitlines()[:count]
        rows = [{key: json.loads(line)[key] for key in ("input", "output")} for line in lines]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    told = json.loads((SNIPS / "task.json").read_text("utf-8"))
    options = {"epochs": 1}
    task = {
        "name": "snips", "instruction": told["instruction"], "seeds": SEEDS,
        "data": {"train": "train.jsonl", "test": "test.jsonl"}, "budget": {"stages": False,
        "minutes": 600}, "success": {"metric": "fields_f1"},
        "arms": [{"lora": options}, {"lora": {**options, "trainer": "trl"}}],
    }  # fmt: skip
    (folder / "task.yaml").write_text(json.dumps(task), "utf-8")
    done = study.run(folder / "task.yaml", RunOptions(brief=True))
    found, answers = {}, {}
    for run in done.results.runs:
        if run.spec.arm == "lora" and run.spec.role == "candidate":
            assert run.state == "measured", run.because
            trainer = run.spec.options.get("trainer", "own")
            value = fmean(getattr(score, "value", 0.0) for score in run.scores)
            found.setdefault(trainer, []).append(round(value, 4))
            answers[trainer, run.seed] = [answer.text for answer in run.answers]
    equal = [
        sum(a == b for a, b in zip(answers["own", seed], answers["trl", seed], strict=True))
        for seed in sorted({seed for _, seed in answers})
    ]
    return found, equal


def test_scores_of_both_trainers_lie_within_the_spread_of_the_seeds(tmp_path):
    pytest.importorskip("trl")
    folder = Path(os.environ.get("TUNEWORTHY_SNIPS_FOLDER", tmp_path))
    found, equal = scores_by_trainer(folder)
    print(f"scores by seed: {found}; equal answers of {TEST}, the same seed: {equal}")
    own, trl = found["own"], found["trl"]
    assert len(own) == len(trl) == SEEDS
    spread = max(max(own) - min(own), max(trl) - min(trl))
    assert abs(fmean(own) - fmean(trl)) <= spread
