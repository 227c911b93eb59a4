"""The adapter of a training folder: its norms against the full product, and what is refused."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import run_folder_kit as kit
from tuneworthy.lab.own_adapter import adapter_facts
from tuneworthy.rows.run_folder import open_run_folder


def base_of(folder, change, dtype="float32"):
    folder.mkdir()
    rng = np.random.default_rng(1)
    table = {f"{name}.weight": rng.normal(size=(5, 6)).astype("float32") for name in change}
    stored = table
    if dtype == "bfloat16":
        stored = {name: (array.view(np.uint32) >> 16).astype(np.uint16)
                  for name, array in table.items()}  # fmt: skip
        table = {name: (array.astype(np.uint32) << 16).view(np.float32)
                 for name, array in stored.items()}  # fmt: skip
    kit.tensors(folder / "model.safetensors", stored)
    return {name: np.linalg.norm(array.astype(float)) for name, array in table.items()}


def test_the_norm_is_that_of_the_whole_product(tmp_path):
    change = kit.adapter(tmp_path / "a")
    found = adapter_facts(open_run_folder(tmp_path / "a"), None)
    whole = math.sqrt(sum(np.linalg.norm(each) ** 2 for each in change.values()))
    assert found.info.norm == pytest.approx(whole, rel=1e-6)
    assert found.info.parameters == 2 * (2 * 6 + 5 * 2)
    assert (found.info.rank, found.info.targets) == (2, ("q_proj",))
    assert found.missing["change"] == "the base's weights are not at hand (--base FOLDER)"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_change_is_relative_to_the_base_by_layer(tmp_path, dtype):
    change = kit.adapter(tmp_path / "a")
    norms = base_of(tmp_path / "base", change, dtype)
    found = adapter_facts(open_run_folder(tmp_path / "a"), tmp_path / "base")
    ratios = [np.linalg.norm(each) / norms[f"{name}.weight"] for name, each in change.items()]
    assert found.facts["change"] == pytest.approx(max(ratios), rel=1e-6)
    assert found.info.change == found.facts["change"]


def test_a_stabilised_scale_divides_by_the_root_of_the_rank(tmp_path):
    kit.adapter(tmp_path / "a", rank=4)
    kit.adapter(tmp_path / "b", rank=4, use_rslora=True)
    plain, root = (adapter_facts(open_run_folder(tmp_path / name), None).info.norm for name in "ab")
    assert root / plain == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"peft_type": "PROMPT_TUNING"}, "not LoRA"),
        ({"alpha_pattern": {"q_proj": 2}}, "of their own"),
        ({"lora_alpha": "x"}, "no lora_alpha"),
        ({"lora_alpha": True}, "no lora_alpha"),
        ({"lora_alpha": float("inf")}, "no lora_alpha"),
    ],
)
def test_what_has_no_such_norm_is_said(tmp_path, changes, why):
    kit.adapter(tmp_path / "a", **changes)
    found = adapter_facts(open_run_folder(tmp_path / "a"), None)
    assert "change" not in found.facts
    assert why in found.missing["change"]
    assert found.info.norm is None
    assert found.facts["parameters"] == 44


def test_another_base_is_said(tmp_path):
    kit.adapter(tmp_path / "a")
    base_of(tmp_path / "base", {"model.layers.9.mlp": 0})
    found = adapter_facts(open_run_folder(tmp_path / "a"), tmp_path / "base")
    assert "no readable weights model.layers.0.self_attn.q_proj.weight" in found.missing["change"]


def test_values_that_are_not_finite_are_said(tmp_path):
    kit.adapter(tmp_path / "a", b=float("nan"))
    found = adapter_facts(open_run_folder(tmp_path / "a"), None)
    assert found.missing["change"] == "the adapter holds values that are not finite"
    assert found.info.norm is None


def test_a_pickled_adapter_is_not_opened(tmp_path):
    kit.adapter(tmp_path / "a")
    (tmp_path / "a" / "adapter_model.safetensors").rename(tmp_path / "a" / "adapter_model.bin")
    found = adapter_facts(open_run_folder(tmp_path / "a"), None)
    assert "never opened" in found.missing["parameters"]


def test_a_cut_adapter_is_said(tmp_path):
    kit.adapter(tmp_path / "a")
    file = tmp_path / "a" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    found = adapter_facts(open_run_folder(tmp_path / "a"), None)
    assert "cut or damaged" in found.missing["change"]


def test_the_adapter_of_the_newest_checkpoint_is_read(tmp_path):
    for step, rank in ((5, 2), (30, 3), (12, 4)):
        kit.adapter(tmp_path / f"checkpoint-{step}", rank=rank)
    assert adapter_facts(open_run_folder(tmp_path), None).info.rank == 3


def test_a_base_named_by_a_path_outside_is_read_only_with_a_config(tmp_path):
    change = kit.adapter(tmp_path / "a", base=str(tmp_path / "base"))
    base_of(tmp_path / "base", change)
    opened = open_run_folder(tmp_path / "a")
    assert adapter_facts(opened, None).facts.get("change") is None
    (tmp_path / "base" / "config.json").write_text(json.dumps({}))
    assert adapter_facts(opened, None).facts["change"] > 0
