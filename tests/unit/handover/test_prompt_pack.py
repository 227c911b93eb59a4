"""The exported prompt holds the request that was measured, or says why it can't."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace as Made

import pytest

from tuneworthy.handover.forms.prompt_pack import _pack_content, _shell_script
from tuneworthy.models.openai_compatible import Remote
from tuneworthy.models.remote.endpoint import endpoint
from tuneworthy.models.remote.request import RequestOptions, response_format
from tuneworthy.records.arm import Recipe
from tuneworthy.records.artefact import Pack
from tuneworthy.records.case import Message
from tuneworthy.records.model import Grammar, Limits
from tuneworthy.records.task import Data, Output, Task

URL = "http://127.0.0.1:8000/v1"
LABELS = Grammar(kind="labels", value=["a", "b"])
JSON = Grammar(
    kind="json", value={"type": "object", "properties": {}, "additionalProperties": False}
)
SAMPLE = [Message(role="user", content="{input}")]


def exported(limits, model=None, spec=f"openai:qwen3-8b@{URL}", **pack):
    """Return the content of pack.json for an arm that answers with these limits."""
    pack = Pack(recipe=Recipe(), limits=limits, **pack)
    made = Made(pack=pack, model=spec, name="t", id="x", task={})
    task = Task(data=Data(file="rows.jsonl"), instruction="Say it.", output=Output(type="label"))
    return _pack_content(Made(artefact=made, sample=SAMPLE, model=model, task=task, cases=()))


def remote(**fields):
    return Remote("qwen3-8b", endpoint(URL), how=RequestOptions(fields))


@pytest.mark.parametrize("rule", [LABELS, JSON, None])
def test_it_is_the_request_that_was_measured(rule):
    limits = Limits(max_tokens=8, thinking="on", thought_tokens=1024, top_p=0.9, stop=("#",))
    model = remote(reasoning_effort="low", chat_template_kwargs={"more": 1})
    told = exported(limits, model, grammar=rule)
    assert told["fixed"]
    body = {"model": told["model"], "messages": told["messages"], **told["request"]}
    assert body == model.request(SAMPLE, limits.model_copy(update={"grammar": rule}))
    assert body["max_tokens"] == 1032
    assert (body["top_p"], body["stop"]) == (0.9, ["#"])
    assert body["reasoning_effort"] == "low"
    assert body["chat_template_kwargs"] == {"enable_thinking": True, "more": 1}
    assert body.get("response_format") == response_format(rule)
    assert told["answer_key"] == ("label" if rule == LABELS else None)


def test_without_thinking_it_has_no_room_for_it():
    told = exported(Limits(max_tokens=8, thinking="off", thought_tokens=1024), remote())
    assert told["request"]["max_tokens"] == 8


@pytest.mark.parametrize(
    ("pack", "why"),
    [({"grammar": Grammar(kind="regex", value="x")}, "regular expression"),
     ({"grammar": JSON, "draft": True}, "free answer"), ({"votes": 3}, "samples")],
)  # fmt: skip
def test_what_one_request_can_not_state_is_said(pack, why):
    told = exported(Limits(max_tokens=8), remote(), **pack)
    assert not told["fixed"]
    assert why in told["why"]
    assert "tuneworthy serve" in told["why"]


def test_thinking_that_no_request_can_switch_on_is_said():
    """A model behind a server of ours: `:raw` asks it with thinking off."""
    told = exported(Limits(max_tokens=8, thinking="on", thought_tokens=100), Made(), "vllm:org/m")
    assert "thinking" in told["why"]
    local = Limits(max_tokens=8, thinking="on", thought_tokens=100)
    assert exported(local, Made(thinks=True), "hf:m")["fixed"]


def test_a_prompt_longer_than_an_argument_may_be_is_sent(tmp_path):
    told = {"fixed": True, "why": "", "model": "m", "url": URL, "key": "", "request": {"seed": 1},
            "messages": [{"role": "system", "content": "é" * 140_000},
                         {"role": "user", "content": "{input}"}]}  # fmt: skip
    (tmp_path / "pack.json").write_text(json.dumps(told), "utf-8")
    (tmp_path / "ask.sh").write_text(_shell_script(told), "utf-8")
    (tmp_path / "curl").write_text("#!/bin/sh\ncat\n")
    (tmp_path / "curl").chmod(0o755)
    path = f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"
    sent = subprocess.run(
        ["sh", str(tmp_path / "ask.sh"), "hello"], capture_output=True, check=True, text=True,
        env={"PATH": path},
    ).stdout  # fmt: skip
    body = json.loads(sent)
    assert [m["content"] for m in body["messages"]] == ["é" * 140_000, "hello"]
    assert (body["model"], body["seed"]) == ("m", 1)


@pytest.mark.parametrize(
    ("base", "spec", "url", "key"),
    [
        ("", None, "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("https://llm.example.org/v1", None, "https://llm.example.org/v1", "OPENAI_API_KEY"),
        ("", "https://llm.example.org/v1", "https://llm.example.org/v1", ""),
    ],
)
def test_the_key_goes_where_the_study_sent_it(monkeypatch, base, spec, url, key):
    """With OPENAI_BASE_URL the snippets asked api.openai.com, and sent the key to any address."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", base)
    model = Remote("m", endpoint(spec))
    told = exported(Limits(max_tokens=8), model, f"openai:m@{spec}" if spec else "openai:m")
    assert (told["model"], told["url"], told["key"]) == ("m", url, key)
    assert ("$" in _shell_script(told).split("Bearer")[1]) == bool(key)
    assert "sk-secret" not in json.dumps(told)


def test_the_request_for_a_local_model_goes_to_the_model_without_the_artefact_s_prompt():
    limits = Limits(max_tokens=8, thinking="auto", thought_tokens=100)
    told = exported(limits, Made(thinks=True), "hf:m", grammar=JSON)
    assert told["model"] == "t-x:raw"
    assert told["request"]["max_tokens"] == 108
    assert told["request"]["response_format"]["json_schema"]["strict"] is True
    scored = exported(limits, Made(), "hf:m", grammar=LABELS)
    assert not scored["fixed"]
    assert "constraint" in scored["why"]


def test_a_list_of_labels_that_is_decoded_is_no_json_object():
    """In this process the answer is a bare label; the exported request asked for an object."""
    many = Grammar(kind="labels", value=[f"l{n}" for n in range(20)])
    limits = Limits(max_tokens=8)
    assert not exported(limits, Made(), "hf:m", grammar=many)["fixed"]
    served = exported(limits, Made(remote=None), "vllm:org/m", grammar=many)
    assert served["fixed"]
    assert served["request"]["response_format"] == response_format(many)
