"""With one epoch there is nothing to choose: dev rows get a loss, and no answers."""

import pytest
from tests.runner_kit import bench_of, cases, planned

from tuneworthy.measure.units import measure
from tuneworthy.records.arm import Recipe
from tuneworthy.records.task import Data, Output, Task

LABELS = ("billing", "delivery", "defect")
BEST = [Recipe(), Recipe()]


@pytest.mark.full
def test_one_epoch_of_one_seed_asks_no_dev_row_and_of_two_seeds_the_better_is_built(
    tiny, tmp_path, monkeypatch
):
    pytest.importorskip("torch")
    from tuneworthy.models.hf import HF, load

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    tiny.model("llama", 1, eos_token_id=0).save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    engine, asked = load(tmp_path / "model", "hf:./model", "float32"), []
    reply = HF.reply
    monkeypatch.setattr(HF, "reply", lambda self, prompts, limits: (
        asked.append(len(prompts) * (limits.max_tokens == 8)),  # cut ones are asked again with 32
        reply(self, prompts, limits))[1])  # fmt: skip
    output = Output(type="label", labels=LABELS, max_tokens=8)
    task = Task(data=Data(file="rows.jsonl"), output=output)
    rows = cases(40, LABELS)  # 20 scored and 10 dev rows a fold
    with bench_of(tmp_path, task, rows, {"base": engine, "tune": engine}) as bench:
        arm = planned("lora", bench, epochs=1, rank=4).model_copy(update={"folds": (0,)})
        (one,) = measure(bench, arm, BEST, False)
        assert (one.dev, sum(asked)) == (None, 20)
        assert one.trace["evaluations"][0]["dev_loss"] > 0
        both = measure(bench, arm.model_copy(update={"seeds": (0, 1)}), BEST, False)
    assert sum(asked) == 20 + 10 + (20 + 10)  # the answers of seed 0 are in the ledger
    assert all(run.dev is not None for run in both)
