"""Which model arms train where the base answers behind a server, and why one can't be trained."""

import pytest

from tuneworthy.models import _roles, takes_adapters
from tuneworthy.models._roles import request_fields, tuned_spec, untrainable, wanted_models
from tuneworthy.records.model import parse_server_model
from tuneworthy.records.plugins import load
from tuneworthy.records.task import Data, Task


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    for kind in ("VLLM", "SGLANG", "LLAMACPP"):
        monkeypatch.setenv(f"TUNEWORTHY_{kind}", "python3 server.py")
    monkeypatch.setattr(_roles, "find_spec", lambda name: name)


def task(**keys):
    return Task(data=Data(file="rows.jsonl"), **keys)


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
@pytest.mark.parametrize("tune", [None, "hf:org/name@abc"])
def test_the_weights_behind_a_server_are_trained_and_answer_there(kind, tune):
    own = task(model=f"{kind}:org/name@abc", tune=tune)
    assert tuned_spec(own) == wanted_models(own)["tune"] == own.model
    assert untrainable(own) is None


def test_other_weights_are_trained_and_answer_in_this_process():
    own = task(model="vllm:org/name", tune="hf:org/other")
    assert tuned_spec(own) == "hf:org/other"
    assert tuned_spec(task(model="hf:org/name")) == "hf:org/name"
    assert tuned_spec(task(model="openai:name")) is None


def test_base_and_tuned_model_share_one_server_with_the_fields_of_the_base():
    fields = {"top_k": 5}
    own = task(model="vllm:org/name", options={"model": fields})
    assert request_fields(own)["tune"] == fields
    assert "tune" not in request_fields(task(model="openai:name", options={"model": fields}))


@pytest.mark.parametrize(
    ("model", "address", "why"),
    [
        ("llamacpp:./model.gguf", "", "takes adapters in a form that nothing here writes"),
        ("vllm:org/name", "http://127.0.0.1:1/v1", "unset TUNEWORTHY_VLLM"),
        ("openai:name", "", "set `tune`"),
    ],
)
def test_what_cannot_be_trained_says_why(model, address, why, monkeypatch):
    if address:
        monkeypatch.setenv("TUNEWORTHY_VLLM", address)
    assert not takes_adapters(model)
    assert why in str(untrainable(task(model=model)))
    assert "needs a model that can be trained here" in str(untrainable(task(model=model)))


def test_training_needs_the_extra_and_the_program_of_the_server(monkeypatch):
    own = task(model="vllm:org/name")
    monkeypatch.setattr(_roles, "find_spec", lambda name: None if name == "peft" else name)
    assert str(untrainable(own)) == "needs peft: pip install 'tuneworthy[train]'"
    assert "needs peft" in str(untrainable(task(model="hf:org/name")))
    monkeypatch.setenv("TUNEWORTHY_VLLM", "no-such-program")
    assert "needs `no-such-program` to start vllm" in str(untrainable(own))


def test_a_server_is_started_with_room_for_adapters_of_a_rank(tmp_path):
    def words(kind, rank):
        plugin = load("servers", kind)
        return " ".join(
            plugin.command(["program"], parse_server_model("org/name", tmp_path, rank), 1)
        )

    assert "--enable-lora --max-lora-rank 64" in words("vllm", 40)
    assert "--enable-lora --max-lora-rank 40 --lora-target-modules all" in words("sglang", 40)
    for kind in ("vllm", "sglang", "llamacpp"):
        assert "lora" not in words(kind, 0)
    assert load("servers", "vllm").environment("key")["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


def test_an_adapter_is_asked_for_as_its_server_wants_it(tmp_path):
    model = parse_server_model("org/name", tmp_path)
    assert load("servers", "vllm").tuned_name(model, "tuned-abc") == "tuned-abc"
    assert load("servers", "sglang").tuned_name(model, "tuned-abc") == "org/name:tuned-abc"


def test_servers_write_json_without_free_whitespace(tmp_path):
    model = parse_server_model("org/name", tmp_path)
    assert '"disable_any_whitespace": true' in " ".join(
        load("servers", "vllm").command([], model, 1)
    )
    assert "--constrained-json-disable-any-whitespace" in load("servers", "sglang").command(
        [], model, 1
    )
