"""`bench/gpu.py --tiny`: every path that a GPU takes, on the CPU at tiny shapes, by command."""

import json
import os
import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
KNOWN = ("only CUDA has TF32", "does not count its peak", "is not installed", "every row is tied")
PARTS = {"parameters", "parity", "loss", "lora", "generation"}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    pytest.importorskip("torch")
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    here = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "bench" / "gpu.py"), "--tiny", "--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=here, capture_output=True, text=True, timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{out.exists() and out.read_text()}"
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(out.read_text("utf-8")), spent


def figures(part, path=""):
    """Yield (path, figure) of all that is a figure, measured or not."""
    if isinstance(part, dict) and "value" in part:
        yield path, part
    elif isinstance(part, dict):
        for name, inner in part.items():
            yield from figures(inner, f"{path}/{name}")


def test_every_figure_has_a_unit_and_its_n_or_a_known_reason(told):
    seen = list(figures(told[0]["models"]))
    assert len(seen) >= 3 * 12
    for path, one in seen:
        if one["value"] is None:
            assert any(reason in one["reason"] for reason in KNOWN), (path, one)
        else:
            assert one["unit"], path
            assert one["n"] >= 1, path


def test_all_models_and_parts_were_tried(told):
    models = told[0]["models"]
    assert set(models) == {"Qwen3-0.6B", "Llama-3.2-1B", "Llama-3.1-8B"}
    for parts in models.values():
        assert set(parts) == PARTS
        assert parts["parity"]["logits, fp32, TF32 off"]["value"] <= 1e-3
        assert parts["parity"]["argmax, bf16, off ties"]["value"] >= 0.9  # few rows
        loss = parts["loss"]["loss of the last step"]
        assert loss["value"] <= 0.01
        assert abs(loss["first"] / loss["ours"] - 1) > 0.01, "the control: training changes it"
        assert parts["generation"]["ours"]["value"] > 0
        assert parts["lora"]["plain loop"]["value"] > 0
        if find_spec("trl"):
            assert parts["lora"]["TRL"]["value"] > 0


def test_a_study_ran_to_its_end_on_the_general_path(told):
    study = told[0]["study"]
    assert {"zero_shot", "lora"} <= set(study["measured"])
    assert study["report"]
    assert study["verdict"]["value"]
    assert study["fingerprint"]["cpu_engine"] == "off"
    assert told[0]["versions"]["torch"]
    assert told[0]["machine"]["cores"]
    assert told[0]["tiny"] is True


def test_it_takes_at_most_a_minute(told):
    """Processor seconds: on a machine of its own that is the most it takes."""
    assert told[1] <= 60
