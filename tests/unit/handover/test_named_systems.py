"""A system on the command line of `compare`: what kind of thing a reference names."""

import pytest

from tuneworthy.handover.compared_systems import _amount, capped
from tuneworthy.handover.named_systems import parse_system
from tuneworthy.records.errors import DataError, TaskError


def folder(path, file):
    path.mkdir()
    (path / file).write_text("{}")
    return path


def test_each_kind_of_reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.csv", "p.txt", "p.md", "m.gguf", "x=y.jsonl"):
        (tmp_path / name).write_text("{}")
    folder(tmp_path / "adapter", "adapter_config.json")
    folder(tmp_path / "merged", "config.json")
    folder(tmp_path / "logs", "part.jsonl")
    kinds = {
        "a.jsonl": "log", "b.csv": "log", "x=y.jsonl": "log", "./logs": "log", "p.txt": "log",
        "p.md": "prompt",
        "m.gguf": "gguf", "./adapter": "adapter", "merged": "model", "hf:./merged": "model",
        "smollm2-135m": "model", "openai:gpt-4o-mini": "model", "ollama:qwen3": "model",
        "vllm:ORG/NAME": "model", "scripted:echo": "model",
    }  # fmt: skip
    assert {text: parse_system(text).kind for text in kinds} == kinds
    assert parse_system("p.txt", prompts=True).kind == "prompt", "where a model is named for it"


def test_a_name_stands_before_the_reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text("{}")
    (tmp_path / "x=y.jsonl").write_text("{}")
    named = parse_system("old=a.jsonl")
    assert (named.name, named.ref) == ("old", "a.jsonl")
    assert parse_system("x=y.jsonl").name == "x=y.jsonl", "a file that exists is no name"
    assert parse_system("a.jsonl").name == "a.jsonl"


def test_ollama_is_the_server_of_this_machine(monkeypatch):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert parse_system("ollama:qwen3").ref == "openai:qwen3@http://127.0.0.1:11434/v1"
    monkeypatch.setenv("OLLAMA_HOST", "10.0.0.5")
    assert parse_system("ollama:qwen3").ref == "openai:qwen3@http://10.0.0.5:11434/v1"
    monkeypatch.setenv("OLLAMA_HOST", "https://box:8443/")
    assert parse_system("new=ollama:qwen3").ref == "openai:qwen3@https://box:8443/v1"


def test_an_address_without_a_model_and_a_missing_path_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError, match="names no model") as found:
        parse_system("b=http://localhost:8000/v1")
    assert found.value.fix == "write openai:MODEL@http://localhost:8000/v1"
    with pytest.raises(DataError, match="no such file"):
        parse_system("base=./nowhere")


def test_a_budget_is_dollars_or_tokens(tmp_path):
    assert _amount("2") == (2.0, None)
    assert _amount("$1.50") == (1.5, None)
    assert _amount("200,000 tokens") == (None, 200000)
    for text in ("", "much", "-1", "nan", "tokens"):
        with pytest.raises(TaskError, match="no amount"):
            _amount(text)
    with capped(tmp_path, None, []) as purse:
        assert purse is None
    assert not (tmp_path / ".tuneworthy").exists(), "nothing is written without a cap"
    with capped(tmp_path, "3", ["a", "b"]) as purse:
        assert purse.left() == (3, None)
