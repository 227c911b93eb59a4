"""`trainer: URL`: a training API gets our ids, masks and rates; its adapter is checked."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.training_api import KEY, TrainingServer

from tuneworthy.core.errors import BudgetError, NotProven, ProviderError, TaskError
from tuneworthy.ledger import signals
from tuneworthy.ledger.purse import SpendingCap
from tuneworthy.ledger.store import open_ledger
from tuneworthy.training.batches import order

sys.path.insert(0, str(Path(__file__).parents[2]))
pytest.importorskip("tinker", reason="the extra `tinker` is not installed")
pytestmark = pytest.mark.full  # a real training run behind HTTP


def pace_of(**changes):
    from tuneworthy.training.loop import TrainingSchedule

    return TrainingSchedule(
        **{"epochs": 2, "batch": 4, "rate": 5e-3, "part_tokens": 120, **changes}
    )


@pytest.fixture
def api(tiny, monkeypatch):
    """A running training API with the tiny base; its key is ours."""
    with TrainingServer(
        {"org/tiny": tiny.model("llama", 1), "org/other": tiny.model("llama", 2)}
    ) as server:
        monkeypatch.setenv("TINKER_API_KEY", KEY)
        monkeypatch.setenv("TINKER_BASE_URL", server.url)
        yield server


@pytest.fixture
def train(tiny, api, tmp_path):
    """Return a function that trains at the API, as an arm does."""
    rows = tiny.rows(tiny.tokenizer(), 11)

    def go(folder="unit", *, base="org/tiny", purse=None, price=0.0, after=None, **pace):
        from tuneworthy.models.remote.training_api import training_endpoint
        from tuneworthy.training.hosted_loop import Hosted, HostedLoop
        from tuneworthy.training.loss import open_net
        from tuneworthy.training.twin import LoraShape, lora_twin

        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        module = lora_twin(tiny.model("llama", 1), LoraShape(rank=4, alpha=8), 0).base_model.model
        hosted = Hosted(training_endpoint(api.url), base, 4, 8 / 4, price, purse, place)
        net = open_net(module, rows[0].ids, True)
        told = HostedLoop(hosted)(net, rows, pace_of(**pace), 3, after or (lambda epoch: None))
        return SimpleNamespace(told=told, module=module, folder=place)

    go.rows = rows
    return go


def test_the_api_reads_our_ids_masks_and_order(api, train):
    train()
    turn = [index for epoch in range(2) for index in order(11, 3, epoch)]
    read = [row for step in api.log for row in step]
    assert [len(step) for step in api.log] == [4, 4, 3] * 2
    for (ids, targets, weights), index in zip(read, turn, strict=True):
        ours = train.rows[index]
        assert [*ids, targets[-1]] == list(ours.ids)
        assert targets == list(ours.ids[1:])
        assert [weight > 0 for weight in weights] == list(ours.mask[1:])
    for step in api.log:  # the loss of a step is a mean over its trained tokens
        assert sum(sum(weights) for _, _, weights in step) == pytest.approx(1, rel=1e-5)


def test_its_losses_are_those_of_our_loop_with_the_same_first_weights(api, tiny, train):
    import torch

    from tuneworthy.training.loop import train as own
    from tuneworthy.training.loss import open_net
    from tuneworthy.training.twin import LoraShape, lora_twin

    theirs = train(epochs=3).told
    module = lora_twin(tiny.model("llama", 1), LoraShape(rank=4, alpha=32), 0).base_model.model
    from tests.training_api import Run

    first = Run(tiny.model("llama", 1), 4, 3).model.base_model.model
    with torch.no_grad():
        for weight, there in zip(module.parameters(), first.parameters(), strict=True):
            weight.copy_(there)
    ours = own(
        open_net(module, train.rows[0].ids, True), train.rows, pace_of(epochs=3), 3, lambda e: None
    )
    assert [s["loss"] for s in theirs["steps"]] == pytest.approx(
        [s["loss"] for s in ours["steps"]], rel=1e-3
    )
    assert [s["rate"] for s in theirs["steps"]] == [s["rate"] for s in ours["steps"]]
    for one, other in zip(theirs["by_row"], ours["by_row"], strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert theirs["steps"][0]["norm"] is None


def test_an_adapter_comes_back_to_the_arm_and_is_used(api, engine, tiny, tmp_path):
    from tuneworthy.models.remote.training_api import training_endpoint
    from tuneworthy.training.hosted_loop import Hosted, HostedLoop
    from tuneworthy.training.lora import LoraSettings, fit_lora
    from tuneworthy.training.training_data import TrainingData

    api.bases["org/engine"] = engine.module
    lessons = TrainingData(train=tiny.examples(12), dev=tiny.examples(4, seed=9), dev_score=None)
    settings = LoraSettings(rank=4, alpha=8, pace=pace_of(epochs=3))
    hosted = Hosted(training_endpoint(api.url), "org/engine", 4, 2.0, 0.0, None, tmp_path / "unit")
    hosted.folder.mkdir()
    done = fit_lora(engine, lessons, settings, 0, hosted.folder, HostedLoop(hosted))
    assert done.trace["gradient"] == api.url
    assert done.trace["clip_rate"] is None
    losses = [seen["dev_loss"] for seen in done.trace["evaluations"]]
    assert len(set(losses)) == 3, "each epoch's own adapter was scored here"
    calls = len(api.calls)
    again = fit_lora(engine, lessons, settings, 0, hosted.folder, HostedLoop(hosted))
    assert (again.trace, len(api.calls)) == (done.trace, calls), "nothing is asked again"


@pytest.mark.parametrize("fault", ["busy", "lost"])
def test_a_repeated_request_is_trained_once(api, train, fault):
    api.fault = fault
    train(epochs=1)
    assert len(api.log) == 3
    assert api.calls.count("forward_backward") > 3


def test_half_a_training_goes_on_from_its_saved_state(api, train, tmp_path):
    from tuneworthy.training import hosted_loop

    whole = train("whole").told
    api.log.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hosted_loop, "SAVED_EVERY", 2)
        api.fault = "fails 6"
        with pytest.raises(ProviderError, match="out of machines") as failed:
            train("half")
        assert KEY not in str(failed.value)
        api.fault = ""
        told = train("half").told
    assert len(api.log) == 5 + 2, "of five steps the one after the saved state is trained again"
    assert [s["loss"] for s in told["steps"]] == pytest.approx([s["loss"] for s in whole["steps"]])


def test_a_stop_saves_what_was_paid_for(api, train, monkeypatch):
    monkeypatch.setattr(signals, "_stop_signal", None)

    def after(epoch):
        monkeypatch.setattr(signals, "_stop_signal", 130)

    with pytest.raises(signals.StopRequested):
        train(after=after)
    monkeypatch.setattr(signals, "_stop_signal", None)
    train()
    assert len(api.log) == 6, "no step is trained twice"


def test_a_wrong_key_says_where_keys_go(api, train, monkeypatch):
    monkeypatch.setenv("TINKER_API_KEY", "tml-another")
    with pytest.raises(ProviderError, match="does not accept the key") as refused:
        train()
    assert "TINKER_API_KEY" in refused.value.fix
    assert "tml-another" not in str(refused.value)


def test_our_key_goes_to_its_own_address_alone(api, train, monkeypatch):
    monkeypatch.setenv("TINKER_BASE_URL", "https://tinker.example")
    with pytest.raises(ProviderError, match="does not accept the key") as refused:
        train()
    assert "TINKER_BASE_URL" in refused.value.fix


def test_a_vanished_adapter_costs_no_training(api, train):
    api.fault = "gone"
    with pytest.raises(ProviderError, match="does not know this"):
        train(epochs=1)
    api.fault = ""
    train(epochs=1)
    assert len(api.log) == 3


def test_a_vanished_state_is_not_paid_for_again_in_silence(api, train):
    api.fault = "fails 4"
    with pytest.raises(ProviderError, match="out of machines"):
        train()
    api.fault = "state"
    with pytest.raises(ProviderError, match="does not know this") as gone:
        train()
    assert "--fresh" in gone.value.fix
    assert len(api.log) == 3


def test_an_adapter_that_was_not_trained_is_refused(api, train):
    api.fault = "zero"
    with pytest.raises(NotProven, match="not the one that was trained"):
        train(epochs=1)
    api.fault = ""
    train(epochs=1)
    assert len(api.log) == 3, "the next run has it published again"


def test_another_base_is_refused_before_a_step_is_paid(api, train):
    with pytest.raises(NotProven, match="another base model"):
        train(base="org/other")
    assert not api.log
    with pytest.raises(ProviderError, match="does not know this"):
        train(base="org/none")


def test_each_step_is_reserved_and_settled(api, train, tmp_path):
    (tmp_path / "money").mkdir()
    with open_ledger(tmp_path / "money", say=lambda text: None) as ledger:
        purse = SpendingCap(ledger, usd="1", study="s")
        train(epochs=1, purse=purse, price=2.0)
        spent = purse.spent()
        tokens = sum(len(row.ids) for row in train.rows)
        assert spent.tokens > tokens, "steps and proofs"
        assert float(spent.usd) == pytest.approx(spent.tokens * 2e-6)
        assert not spent.unknown
        low = SpendingCap(ledger, usd=f"{tokens * 1e-6:f}", study="low")
        with pytest.raises(BudgetError):
            train("low", purse=low, price=2.0)
        unpriced = SpendingCap(ledger, usd="1", study="unpriced")
        with pytest.raises(TaskError, match="needs a price"):
            train("unpriced", purse=unpriced, price=None)


def test_the_state_on_disk_is_of_this_run_alone(api, train):
    from tuneworthy.training.hosted_loop import _StoredRun

    done = train(epochs=1)
    path = done.folder / "hosted.json"
    known = json.loads(path.read_text("utf-8"))
    assert _StoredRun.read(path, known["about"]).state == known["state"]
    assert not _StoredRun.read(path, "another run").steps
    path.write_text("{", "utf-8")
    assert not _StoredRun.read(path, known["about"]).steps


def test_a_study_trains_there_and_is_refused_without_a_cap(api, tmp_path, monkeypatch):
    import transformers
    from tests import studies

    import tiny as weights
    import tuneworthy

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    weights.tiny_llama(tmp_path / "weights")
    api.bases["org/study"] = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "weights")
    options = {"epochs": 1, "rate": 0.01, "rank": 4}
    options |= {"trainer": api.url, "trainer_model": "org/study"}
    path = studies.write(
        tmp_path, n=24, model="hf:./weights", arms=["zero_shot", {"lora": options}], seeds=1,
        data={"file": "rows.jsonl", "folds": 2}, budget={"stages": False}, precision="float32",
    )  # fmt: skip
    done = tuneworthy.run(path)
    runs = [r for r in done.results.runs if r.spec.arm == "lora" and r.spec.role == "candidate"]
    assert [run.state for run in runs] == ["measured"] * 2, [run.because for run in runs]
    assert all(run.trace["gradient"] == api.url for run in runs)
    assert any("trains at" in text for text in done.results.plan.prices)
    away = options | {"trainer": "https://training.example/v1"}
    path = studies.write(tmp_path / "away", n=24, model="hf:../weights", precision="float32",
                         arms=["zero_shot", {"lora": away}])  # fmt: skip
    with pytest.raises(TaskError, match="no cap") as refused:
        tuneworthy.run(path)
    assert "training.example" in refused.value.got
