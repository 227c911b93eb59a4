"""No content of a training folder crashes the check: a report that is JSON, or a clear error."""

import json
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import run_folder_kit as kit
from tuneworthy.lab.own_run import OwnFiles, check_run
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.record import canonical
from tuneworthy.report.checks import own_run_screen

JUNK = (None, True, False, -1, 0, 10**30, 1e308, -1e308, float("nan"), float("inf"), "", "x",
        "\x1b[", "\ud800", "NaN", [], [[]], {}, {"a": 1}, ["x", 1], "9" * 400,
        "<|im_end|>")  # fmt: skip
JSON_FILES = ("trainer_state.json", "tokenizer_config.json", "adapter_config.json",
              "training_args.json")  # fmt: skip


def places(value, path=()):
    """Yield the path of every value; of a long list only the first and the last entries."""
    yield path
    if isinstance(value, dict):
        inner = list(value.items())
    else:
        inner = list(enumerate(value)) if isinstance(value, list) else []
        inner = inner[:2] + inner[-2:]
    for key, item in inner:
        yield from places(item, (*path, key))


def planted(value, path, junk):
    if not path:
        return junk
    made = json.loads(json.dumps(value))
    target = made
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = junk
    return made


@pytest.fixture
def folder(tmp_path):
    made = kit.tokenizer(kit.trainer_state(tmp_path / "out", columns=kit.TRL))
    kit.adapter(made)
    kit.card(made)
    arguments = {"max_length": 64, "packing": False, "pad_token": "<|pad|>", "max_grad_norm": 1.0,
                 "completion_only_loss": None, "assistant_only_loss": False}  # fmt: skip
    (made / "training_args.json").write_text(json.dumps(arguments))
    return made, kit.rows(tmp_path / "rows.jsonl", 8)


def looked_at(folder, rows):
    """Check a folder; return whether there was a report, which must be JSON and a screen."""
    try:
        report = check_run(folder, OwnFiles(rows))
    except (DataError, TaskError):
        return False
    json.loads(canonical(report).encode("utf-8", "surrogatepass"))
    assert "\x1b" not in own_run_screen(report, 80, True).plain
    return True


@pytest.mark.parametrize("name", JSON_FILES)
def test_no_value_in_a_file_crashes_it(folder, request, name):
    made, rows = folder
    rng = random.Random(request.config.getoption("--fuzz-seed"))
    whole = json.loads((made / name).read_text())
    drawn = [(path, junk) for path in places(whole) for junk in JUNK]
    rng.shuffle(drawn)
    seen = 0
    for path, junk in drawn[:50]:
        (made / name).write_text(json.dumps(planted(whole, path, junk)))
        seen += looked_at(made, rows)
    assert seen > 10


@pytest.mark.parametrize(
    "name", [*JSON_FILES, "README.md", "chat_template.jinja", "tokenizer.json",
             "adapter_model.safetensors"]
)  # fmt: skip
def test_no_damage_of_a_file_crashes_it(folder, request, name):
    made, rows = folder
    rng = random.Random(request.config.getoption("--fuzz-seed"))
    whole = (made / name).read_bytes()
    for _ in range(12):
        at = rng.randrange(len(whole))
        kind = rng.randrange(3)
        data = whole[:at] if kind == 0 else bytearray(whole)
        if kind:
            for _ in range(1 if kind == 1 else 20):
                data[rng.randrange(len(whole))] = rng.randrange(256)
        (made / name).write_bytes(bytes(data))
        looked_at(made, rows)
