"""Scripted models, and how a spec is opened as a model."""

import pytest
from models_kit import ask

from tuneworthy.models import is_local, open_model
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.model import Limits, Model

LIMITS = Limits(max_tokens=6)


def say(model, *texts, **limits):
    return [r.text for r in model.reply(ask(*texts), Limits(**{"max_tokens": 50, **limits}))]


def test_echo_repeats_and_is_a_model(tmp_path):
    model = open_model("scripted:echo", folder=tmp_path)
    assert isinstance(model, Model)
    assert say(model, "a b", "c") == ["a b", "c"]
    cut = model.reply(ask("one two three four five six seven"), LIMITS)[0]
    assert (cut.text, cut.finish, cut.tokens_out) == ("one two three four five six", "length", 6)


def test_noisy_depends_on_prompt_seed_and_sample_alone(tmp_path):
    text = " ".join(map(str, range(40)))
    model = open_model("scripted:noisy", folder=tmp_path)
    first = say(model, text)
    assert say(model, "other", text)[1] == first[0] != text
    assert say(model, text, sample=1) != first
    assert say(model, text, seed=1) != first


def test_canned_replies_take_the_longest_match(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_text('{"when": "refund", "say": "pay"}\n\n{"when": "refund now", "say": "hurry"}\n')
    model = open_model("scripted:r.jsonl", folder=tmp_path)
    assert say(model, "a refund", "a refund now") == ["pay", "hurry"]
    assert model.reply(ask("hello"), LIMITS)[0].finish == "error"
    before = model.fingerprint
    file.write_text('{"when": "refund", "say": "no"}\n')
    assert open_model("scripted:r.jsonl", folder=tmp_path).fingerprint != before


def test_bad_replies_are_named(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"when": "x", "say": "y"}\n{"when": 1}\n')
    with pytest.raises(DataError, match=r"r\.jsonl:2"):
        open_model("scripted:r.jsonl", folder=tmp_path)
    with pytest.raises(DataError):
        open_model("scripted:none.jsonl", folder=tmp_path)


def test_a_script_that_raises_fails_one_row():
    def respond(prompt, limits):
        return {"a": "fine"}[prompt[-1].content]

    good, bad = Scripted("scripted:test", respond).reply(ask("a", "b"), LIMITS)
    assert (good.text, bad.finish) == ("fine", "error")


@pytest.mark.parametrize("spec", ["smollm", "hf:", "scripted:what", "openai:", ""])
def test_unknown_specs_say_what_exists(spec, tmp_path):
    with pytest.raises(TaskError):
        open_model(spec, folder=tmp_path)


def test_local_or_not():
    assert is_local("hf:./x")
    assert not is_local("openai:x")
