"""`compare` asks systems the same rows: what is checked before, and what is said of both sides."""

import json
from pathlib import Path

import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from export_kit import Exports

    return Exports(tmp_path_factory.mktemp("systems"))


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = [{"id": f"r{k}", "input": f"Is the parcel {k} here?", "output": ("yes", "no")[k % 2]}
            for k in range(30)]  # fmt: skip
    lines(Path("rows.jsonl"), told)
    return told


def compared(capsys, *words):
    code = run(["compare", *map(str, words), "--gold", "rows.jsonl", "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out or "{}"), out.err


def test_a_base_and_its_adapter_answer_under_the_same_conditions(made, rows, capsys):
    words = [f"base={made.spec}", f"tuned={made.adapter}", "--cases", 8, "--max-tokens", 4]
    code, told, err = compared(capsys, *words)
    assert code == 0
    assert told["n"] == 8
    notes = " ".join(told["notes"])
    assert "the same engine, precision, chat template, tokenizer, prompt, limit of tokens" in notes
    assert "all 8 prompts have the same number of tokens on both sides" in notes
    assert "asking base: 8 rows" in err


def test_one_model_twice_is_said(made, rows, capsys):
    words = [f"a={made.spec}", f"b={made.base}", "--cases", 4, "--max-tokens", 2]
    _, told, _ = compared(capsys, *words)
    assert "both sides are one model: the weights are the same" in told["notes"]


def test_a_log_beside_an_adapter_is_asked_only_what_the_log_answers(made, rows, capsys):
    lines(Path("old.jsonl"), [{"id": f"r{k}", "answer": "yes"} for k in range(10)])
    _, told, err = compared(capsys, "old.jsonl", made.adapter, "--max-tokens", 2)
    assert told["n"] == 10
    assert "10 rows" in err


def test_an_adapter_that_changes_nothing_is_refused_before_a_row_is_asked(made, rows, capsys):
    code, told, err = compared(capsys, f"base={made.spec}", f"tuned={made.empty}")
    assert code == 1
    assert "changes nothing" in told["what"]
    assert "asking" not in err


def test_an_adapter_of_another_base_is_refused(made, rows, capsys):
    from tests.tiny import tiny_llama

    other = tiny_llama(made.folder / "other-base", hidden_size=48)
    code, told, _ = compared(capsys, f"base=hf:{other}", f"tuned={made.adapter}")
    assert code == 1
    assert "match no layer" in told["what"]


def test_another_base_of_the_same_shape_is_said(made, rows, capsys):
    from tests.tiny import tiny_llama

    other = tiny_llama(made.folder / "like-base", seed=9, dtype="bfloat16", hidden_size=96)
    words = [f"base=hf:{other}", f"tuned={made.adapter}", "--cases", 4, "--max-tokens", 2]
    _, told, _ = compared(capsys, *words)
    assert "only the shapes were compared" in " ".join(told["notes"])


def test_weights_that_are_pickles_are_refused(made, rows, capsys, tmp_path):
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "adapter_config.json").write_text((made.adapter / "adapter_config.json").read_text())
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")
    code, told, _ = compared(capsys, f"base={made.spec}", folder)
    assert code == 2
    assert "pickles" in told["what"]


def test_a_paid_endpoint_needs_a_cap_and_an_absent_server_is_an_error(made, rows, capsys):
    code, told, err = compared(capsys, "new=openai:gpt-4o-mini", f"base={made.spec}")
    assert code == 2, told
    assert "no cap" in told["what"]
    assert "asking" not in err
    code, told, _ = compared(
        capsys, "new=openai:x@http://127.0.0.1:9/v1", f"base={made.spec}", "--cases", 2
    )
    assert code == 1
    assert "does not answer" in told["what"]
    assert not Path(".tuneworthy").exists(), "no look is counted and nothing is stored"


def test_prompt_files_need_a_model_and_answer_by_it(made, rows, capsys):
    Path("old.md").write_text("Answer yes or no: {input}")
    Path("new.md").write_text("Say yes.")
    code, told, _ = compared(capsys, "old=old.md", "new=new.md")
    assert code == 2
    assert "needs a model" in told["what"]
    words = ["old=old.md", "new=new.md", "--model", made.spec, "--cases", 4, "--max-tokens", 2]
    code, told, _ = compared(capsys, *words)
    assert code == 0
    assert "4 of 4 prompts have another number of tokens" in told["notes"]
    assert "the prompt differs: old.md and new.md" in told["notes"]
    assert "same prompt" not in " ".join(told["notes"])
    assert "one model" not in " ".join(told["notes"])


def test_repeats_need_a_temperature(made, rows, capsys):
    both = [f"base={made.spec}", f"tuned={made.adapter}", "--repeats", 3, "--cases", 6]
    code, told, _ = compared(capsys, *both)
    assert code == 2
    assert "same answer each time" in told["what"]
    code, told, _ = compared(capsys, *both, "--temperature", 1, "--max-tokens", 2)
    assert code == 0
    assert told["n"] == 6


def test_a_gguf_file_is_not_sampled_while_the_other_side_is(made, rows, capsys):
    file = made.gguf(made.tuned, name="sampled")
    words = [f"tuned={made.adapter}", f"gguf={file}", "--model", made.spec, "--temperature", 1]
    code, told, err = compared(capsys, *words)
    assert code == 2
    assert "asked greedily" in told["what"]
    assert "asking" not in err
