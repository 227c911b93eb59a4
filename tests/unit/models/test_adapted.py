"""An adapter behind a server that we start: flags, loading, faults on the way, memory."""

import json
import sys
from pathlib import Path

import pytest
from fake_models import BASE, logprobs
from test_adapter_proofs import proof_rows

from tuneworthy.models import open_model
from tuneworthy.models.remote.adapter_proofs import write_proofs
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.server_process import end_servers
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError, NotProven, ProviderError
from tuneworthy.records.model import Limits, Scorer

pytestmark = pytest.mark.full
STAND_IN = Path(__file__).with_name("server_stand_in.py")
LIMITS = Limits(max_tokens=4)


def asked(text):
    return [Message(role="user", content=text)]


def adapter_in(folder, weights="weights", rank=16):
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text(weights)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    write_proofs(folder, proof_rows(weights))
    return folder


@pytest.fixture
def said():
    return []


@pytest.fixture
def start(monkeypatch, tmp_path, said):
    monkeypatch.setenv("TUNEWORTHY_VLLM", f"{sys.executable} {STAND_IN}")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened = []

    def go(how="", rank=16, spec="vllm:org/name", **options):
        monkeypatch.setenv("STAND_IN", how)
        requests = RequestOptions(say=said.append, rank=rank, **options)
        model = open_model(spec, folder=tmp_path, requests=requests)
        opened.append(model)
        return model

    yield go
    for model in opened:
        model.close()


def test_an_adapter_is_loaded_proved_and_asked_under_its_own_name(start, tmp_path, said):
    model = start()
    assert "--enable-lora --max-lora-rank 16" in model.server.log.read_text()
    tuned = model.with_adapter(adapter_in(tmp_path / "one" / "adapter"))
    replies = tuned.reply([asked("a good one"), asked("another")], LIMITS)
    assert [reply.text for reply in replies] == ["tuned yes", "tuned no"]
    assert {reply.usd for reply in replies} == {0.0}
    assert model.reply([asked("a good one")], LIMITS)[0].text == "yes"
    assert tuned.fingerprint["adapter"]
    assert {k: v for k, v in tuned.fingerprint.items() if k != "adapter"} == model.fingerprint
    other = model.with_adapter(adapter_in(tmp_path / "two" / "adapter", "others"))
    assert other.name != tuned.name
    other.reply([asked("a good one")], LIMITS)
    tuned.reply([asked("a good one")], LIMITS)
    assert model.server.log.read_text().count("loaded tuned-") == 2, "each is loaded once"
    assert sum("proving it" in line for line in said) == 2


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("ignored", "the adapter is not applied"),
        ("wrong", "another adapter answers"),
        ("stale", "stale prefix"),
        ("base changes", "changed when the adapter was loaded"),
        ("another base", "is not the model that was trained"),
        ("refused", "does not load the adapter"),
        ("dropped", "the adapter changed while it was asked"),
        ("named", "says that another model answered"),
    ],
)
def test_each_fault_of_a_server_is_found_before_an_answer_is_believed(
    start, tmp_path, fault, found
):
    tuned = start(fault).with_adapter(adapter_in(tmp_path / "adapter"))
    with pytest.raises(NotProven, match=found) as error:
        tuned.reply([asked(f"question {n}") for n in range(4)], LIMITS)
    assert error.value.got


def test_a_server_that_crashes_while_it_loads_an_adapter_shows_its_log(start, tmp_path):
    tuned = start("crashes loading").with_adapter(adapter_in(tmp_path / "adapter"))
    with pytest.raises(ProviderError, match="ended while it was asked") as error:
        tuned.reply([asked("one")], LIMITS)
    assert "CUDA out of memory" in str(error.value)
    assert not isinstance(error.value, NotProven)


def test_a_server_that_crashes_among_tuned_answers_shows_its_log(start, tmp_path, monkeypatch):
    monkeypatch.setattr("tuneworthy.models.openai_compatible.pause_seconds", lambda *_: 0.0)
    tuned = start("crashes 5").with_adapter(adapter_in(tmp_path / "adapter"))
    with pytest.raises(ProviderError, match="ended while it was asked") as error:
        tuned.reply([asked(f"question {n}") for n in range(20)], LIMITS)
    assert "CUDA out of memory" in str(error.value)


def test_the_memory_is_handed_over_and_the_adapter_proved_anew(start, tmp_path, said, monkeypatch):
    model = start()
    tuned = model.with_adapter(adapter_in(tmp_path / "adapter"))
    tuned.reply([asked("a good one")], LIMITS)
    first = model.server

    def opened(spec, **kwargs):
        assert first.process.poll() is not None, "the server has not ended yet"
        return f"the weights of {spec}"

    monkeypatch.setattr("tuneworthy.models.open_model", opened)
    assert model.lend(lambda local: local.upper()) == "THE WEIGHTS OF HF:ORG/NAME"
    assert any("is ended while a model is trained here" in line for line in said)
    assert tuned.reply([asked("a good one")], LIMITS)[0].text == "tuned yes"
    assert model.server is not first
    assert sum("proving it" in line for line in said) == 2
    end_servers()
    assert model.reply([asked("a good one")], LIMITS)[0].text == "yes"


def test_an_adapter_of_a_higher_rank_starts_the_server_with_room_for_it(start, tmp_path):
    model = start(rank=0)
    assert "--enable-lora" not in model.server.log.read_text()
    tuned = model.with_adapter(adapter_in(tmp_path / "adapter", rank=40))
    assert tuned.reply([asked("a good one")], LIMITS)[0].text == "tuned yes"
    assert "--enable-lora --max-lora-rank 64" in model.server.log.read_text()


def test_a_folder_without_an_adapter_or_its_references_is_refused(start, tmp_path):
    model = start()
    folder = adapter_in(tmp_path / "adapter")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="no adapter that a server can load"):
        model.with_adapter(folder)
    (tmp_path / "proofs.json").unlink()
    with pytest.raises(ModelError, match="nothing is here to prove"):
        model.with_adapter(folder)


def test_labels_are_scored_with_their_end_of_turn(start, tmp_path):
    model = start()
    assert isinstance(model, Scorer)
    labels, prompts = ["yes", "no"], [asked("a good one"), asked("another one")]
    table = model.logprobs(prompts, [labels] * 2)
    for prompt, row in zip(prompts, table, strict=True):
        words = prompt[0].content.split()
        head = [1, *(sum(word.encode()) for word in words), 2, 3, 4]
        for label, value in zip(labels, row, strict=True):
            ids = [*head, sum(label.encode()), 2]
            assert value == pytest.approx(sum(logprobs(BASE, ids, len(head))))
    tuned = model.with_adapter(adapter_in(tmp_path / "adapter"))
    assert tuned.logprobs(prompts, [labels] * 2) != table


def test_answers_that_depend_on_their_batch_are_said(start, said):
    model = start("batch", connections=4)
    model.reply([asked(f"question {n}") for n in range(6)], LIMITS)
    (note,) = model.notes
    assert "answers depend on their batch" in note
    assert note in said
    assert "of 6 answers" in note
    steady = start()
    steady.reply([asked(f"question {n}") for n in range(6)], LIMITS)
    assert steady.notes == ()
    assert steady.remote("org/name").facts.get("batch noise") == {"differ": 0, "of": 6}


def test_the_switch_for_thinking_is_sent_for_the_adapter_too(start, tmp_path):
    model = start(spec="vllm:org/qwen3-8b")
    model.with_adapter(adapter_in(tmp_path / "adapter")).reply([asked("one")], LIMITS)
    told = model.server.log.read_text().splitlines()
    assert [line for line in told if "switched" in line] == [
        'switched {"enable_thinking": false}'
    ] * 2, "the prompt of the proof, and the answer"


def test_timing_sends_no_proofs_and_takes_no_stored_reply(start, tmp_path, monkeypatch):
    from tuneworthy.models._reply_cache import uncached

    tuned = start().with_adapter(adapter_in(tmp_path / "adapter"))
    tuned.reply([asked("one")], LIMITS)
    monkeypatch.setattr(
        "tuneworthy.models.remote.adapter_proofs.AdapterProof.check",
        lambda *_: pytest.fail("it was timed with its proof"),
    )
    with uncached():
        assert tuned.reply([asked("one")], LIMITS)[0].text == "tuned no"


def test_noise_of_log_probabilities_is_a_note_of_the_tuned_arm(start, tmp_path):
    tuned = start("noisy").with_adapter(adapter_in(tmp_path / "adapter"))
    assert tuned.notes == ()
    tuned.reply([asked("one")], LIMITS)
    assert "nats a token apart" in tuned.notes[0]


def test_the_server_of_another_study_is_ended_and_told_nothing(start, tmp_path, monkeypatch, said):
    def closed(text):
        raise AssertionError(f"the ledger of that study is closed: {text}")

    other, model = start(), start()
    other.host.say = closed
    monkeypatch.setattr("tuneworthy.models.open_model", lambda spec, **_: spec)
    first = other.server.process
    assert model.lend(lambda local: local) == "hf:org/name"
    assert first.poll() is not None
    assert "vllm, vllm is ended while a model is trained here" in said[-1]
