"""A whole study whose model answers behind a server: base and tuned answers come from it alone."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

import studies
import tiny
import tuneworthy

pytestmark = pytest.mark.full
TRAINED = {"lora": {"epochs": 2, "rate": 0.01, "rank": 4, "alpha": 8}}


@pytest.fixture
def served(monkeypatch):
    """Start servers in this process; return the fault of those that follow, and those started."""
    from weights_server import WeightsServer

    state = {"fault": "", "started": []}

    def start(kind, model, say):
        state["started"].append(WeightsServer(model, state["fault"]))
        return state["started"][-1]

    monkeypatch.setattr("tuneworthy.models.remote.server_process.start", start)
    return state


@pytest.fixture
def study(tmp_path, monkeypatch, served):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TUNEWORTHY_VLLM", sys.executable)
    tiny.tiny_llama(tmp_path / "weights")

    def go(**task):
        keys = {
            "n": 36, "model": "vllm:./weights", "arms": ["zero_shot", TRAINED], "seeds": 1,
            "data": {"file": "rows.jsonl", "folds": 2}, "budget": {"stages": False},
            "precision": "float32",
            **task,
        }  # fmt: skip
        return studies.write(tmp_path, **keys)

    return go


def run_of(done, arm):
    """Return the runs of an arm, without its placebos."""
    own = [run for run in done.results.runs if run.spec.arm == arm]
    return [run for run in own if run.spec.role == "candidate"]


def test_base_and_tuned_answers_come_from_one_server(study, tmp_path, served):
    said = []
    done = tuneworthy.run(study(), watch=lambda event, data: said.append(str(data)))
    runs = run_of(done, "lora")
    assert [run.state for run in runs] == ["measured"] * 2, [run.because for run in runs]
    engines = {run.fingerprint["engine"] for run in [*runs, *run_of(done, "zero_shot")]}
    assert len(engines) == 1
    assert engines.pop().startswith("vllm ")
    assert len({run.fingerprint["adapter"] for run in runs}) == 2
    assert sum("proving it" in line for line in said) >= 2
    assert any("is ended while a model is trained here" in line for line in said)
    assert len(served["started"]) >= 3, "each training run ends it"
    assert not any(server.models for server in served["started"]), "none outlives the study"
    again = tuneworthy.run(tmp_path / "task.yaml")
    assert again.verdict == done.verdict


def test_an_adapter_that_is_not_applied_fails_its_arm_and_no_other(study, served):
    path = study()
    served["fault"] = "ignored"
    done = tuneworthy.run(path)
    (failed,) = run_of(done, "lora")
    assert failed.state == "failed"
    assert "the adapter is not applied" in str(failed.because)
    assert {run.state for run in run_of(done, "zero_shot")} == {"measured"}
    served["fault"] = ""
    mended = tuneworthy.run(path)
    assert {run.state for run in run_of(mended, "lora")} == {"measured"}, "it is tried again"


def test_what_a_server_cannot_load_is_left_out_with_its_reason(study):
    arms = ["zero_shot", "full", {"lora": {"dora": True}}]
    done = tuneworthy.run(study(arms=arms))
    (full,), (dora,) = run_of(done, "full"), run_of(done, "lora")
    assert full.state == dora.state == "skipped"
    assert "no second set of weights" in str(full.because)
    assert "no DoRA adapters" in str(dora.because)
