"""Device, precision and batch size of a task; closing idle models."""

import gc
import weakref
from typing import ClassVar

import pytest
from models_kit import PROMPTS, build

from tuneworthy.models.local.device import Placement
from tuneworthy.records.errors import DoesNotFit, TaskError
from tuneworthy.records.model import Limits
from tuneworthy.records.task import Data, Task

pytestmark = pytest.mark.full


@pytest.fixture
def seen(monkeypatch):
    """Let torch see the devices that are named."""
    import torch

    def there(*names):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return there


def test_auto_takes_cuda_then_mps_then_the_processor(seen):
    from tuneworthy.models.local.device import resolve_device

    for names, device in {
        (): "cpu",
        ("mps",): "mps",
        ("cuda",): "cuda",
        ("cuda", "mps"): "cuda",
    }.items():
        seen(*names)
        assert resolve_device("auto") == device
        assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_a_device_that_is_absent_is_refused_before_anything_is_read(wanted, seen, folders):
    from tuneworthy.models.hf import load

    seen()
    with pytest.raises(TaskError, match="no such device") as caught:
        load(folders["llama"], "hf:x", place=Placement(device=wanted))
    assert caught.value.exit_code == 2
    assert f"device: {wanted}" in caught.value.got


def test_a_study_on_an_absent_device_ends_with_exit_code_2(tmp_path, seen, folders, capsys):
    import json

    from tuneworthy.cli._frame import run as command

    seen()
    rows = [{"input": f"row {k} of them", "output": "ab"[k % 2]} for k in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    for device, code in (("cuda", 2), ("cpu", 0)):
        task = {
            "name": "t",
            "data": {"file": "rows.jsonl"},
            "model": f"hf:{folders['llama']}",
            "device": device,
            "arms": ["majority", "tfidf"],
        }
        (tmp_path / "task.yaml").write_text(json.dumps(task), "utf-8")
        assert command(["plan", str(tmp_path / "task.yaml")]) == code
    assert "torch sees no such device" in capsys.readouterr().err


def test_a_precision_that_is_named_wins_over_the_measured_one(folders, monkeypatch):
    import torch

    from tuneworthy.models.hf import load
    from tuneworthy.models.local import machine as _doctor

    monkeypatch.setattr(_doctor, "precision_for", lambda device: "float32")
    for wanted, dtype in (("auto", torch.float32), ("bfloat16", torch.bfloat16),
                          ("float16", torch.float16)):  # fmt: skip
        model = load(folders["llama"], "hf:x", place=Placement(precision=wanted))
        assert model.module.dtype == dtype
        assert model.fingerprint["precision"] == str(dtype).removeprefix("torch.")
        assert len(model.reply(PROMPTS[:2], Limits(max_tokens=2))) == 2


def test_the_keys_of_a_task_reach_the_model(folders, tmp_path):
    from tuneworthy.models import open_model
    from tuneworthy.models._roles import placement

    task = Task(data=Data(file="x"), device="cpu", precision="bfloat16", batch=5)
    spec = f"hf:./{folders['llama'].name}"
    model = open_model(spec, folder=folders["llama"].parent, place=placement(task))
    assert model.fingerprint["precision"] == "bfloat16"
    assert model.net.fit.rows == model.full == 5
    plain = open_model(spec, folder=folders["llama"].parent)
    assert plain.net.fit.rows is None


def test_weights_are_read_straight_onto_the_device(folders, seen, monkeypatch):
    """The device is `cuda`, but the loader is patched to place weights on the CPU."""
    import transformers

    from tuneworthy.models import hf
    from tuneworthy.models.local import machine as _doctor
    from tuneworthy.models.local import memory as _sizes

    given, read = [], transformers.AutoModelForCausalLM.from_pretrained

    def caught(folder, **options):
        given.append(options.get("device_map"))
        return read(folder, **{**options, "device_map": None})

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", caught)
    monkeypatch.setattr(hf, "resolve_placement", lambda place, precision: ("cuda", "float32"))
    monkeypatch.setattr(_sizes, "free_memory", lambda device: 10**11)
    monkeypatch.setattr(_sizes, "total_memory", lambda device: 10**11)
    import torch

    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *given, **named: self)
    made = hf.load(folders["llama"], "hf:x")
    assert given == [{"": "cuda"}]
    assert "threads" not in made.fingerprint
    assert made.fingerprint["device"] == "cuda"
    monkeypatch.setattr(hf, "resolve_placement", _doctor.resolve_placement)
    seen()
    hf.load(folders["llama"], "hf:x", "float32")
    assert given[1] is None


def test_fp32_on_cuda_uses_tf32_and_the_fingerprint_says_so(monkeypatch):
    import torch

    from tuneworthy.models.local.device import allow_tf32, device_fingerprint

    kept = ["highest"]
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda name: kept.append(name))
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: kept[-1])
    allow_tf32("cpu", "float32")
    allow_tf32("cuda", "bfloat16")
    assert kept == ["highest"]
    assert device_fingerprint("cuda", "float32")["products"] == "fp32"
    allow_tf32("cuda", "float32")
    assert kept[-1] == "high"
    assert device_fingerprint("cuda", "float32")["products"] == "tf32"
    assert set(device_fingerprint("cuda", "bfloat16")) == {"device", "precision"}
    assert "threads" in device_fingerprint("cpu", "float32")
    assert "threads" not in device_fingerprint("mps", "float32")


def test_threads_are_no_mark_of_a_gpu_and_one_of_a_processor(monkeypatch):
    import torch

    from tuneworthy.models.local.device import device_fingerprint

    before = {name: device_fingerprint(name, "bfloat16") for name in ("cpu", "cuda", "mps")}
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    same = {name: device_fingerprint(name, "bfloat16") == marked for name, marked in before.items()}
    assert same == {"cpu": False, "cuda": True, "mps": True}


def test_the_memory_of_apples_gpu_is_what_it_shares(monkeypatch):
    import torch

    from tuneworthy.models.local import device as _device

    held = {
        "recommended_max_memory": 12 * 10**9,
        "driver_allocated_memory": 5 * 10**9,
        "current_allocated_memory": 4 * 10**9,
    }
    for name, value in held.items():
        monkeypatch.setattr(torch.mps, name, lambda value=value: value)
    cpu = _device.free_memory
    monkeypatch.setattr(
        _device, "free_memory", lambda device: 10**11 if device == "cpu" else cpu(device)
    )
    assert _device.total_memory("mps") == 12 * 10**9
    assert cpu("mps") == 8 * 10**9  # 7 that may still be taken, 1 that torch keeps back


def test_a_batch_on_a_gpu_follows_the_memory_that_is_free(folders, monkeypatch):
    from types import SimpleNamespace

    from tuneworthy.models import hf
    from tuneworthy.models.local import memory as _sizes

    module = hf.load(folders["llama"], "hf:x", "float32").module
    weights = sum(w.numel() for w in module.parameters()) * 4
    monkeypatch.setattr(_sizes, "total_memory", lambda device: 10**11)
    placed = SimpleNamespace(
        named_parameters=module.named_parameters, config=module.config, dtype=module.dtype,
        device=SimpleNamespace(type="cuda"),
    )  # fmt: skip
    found = []
    for free in (10**11 - weights, 10**8, 5 * 10**7):
        monkeypatch.setattr(_sizes, "free_memory", lambda device, free=free: free)
        found.append(_sizes.tokens_of(placed))
    assert found[0] == 131_072
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 3
    placed.device.type = "cpu"  # the control: there it must not depend on what else runs
    assert _sizes.tokens_of(placed) == 16_384


class Held:
    """A model that takes some units of a memory of 10 units."""

    alive: ClassVar = weakref.WeakSet()
    opened: ClassVar = []

    def __init__(self, spec, fields):
        if sum(4 for _ in self.alive) + 4 > 10:
            raise DoesNotFit("the model does not fit in the free memory")
        assert fields == {}
        self.spec, self.fingerprint = spec, {"device": "cpu"}
        self.alive.add(self)
        self.opened.append(spec)


def test_an_idle_model_is_closed_where_another_one_does_not_fit():
    from tuneworthy.models._roles import Models

    gc.collect()
    Held.opened = []
    models = Models({"base": "hf:a", "bigger": "hf:b", "judge": "hf:c"}, Held)
    base = models["base"]
    assert models["bigger"].spec == "hf:b"
    assert models["judge"].spec == "hf:c"  # does not fit beside both: the idle one is closed
    assert {model.spec for model in Held.alive} == {"hf:a", "hf:c"}
    assert models["base"] is base
    assert models["bigger"].spec == "hf:b"  # opened again
    assert Held.opened == ["hf:a", "hf:b", "hf:c", "hf:b"]
    alone = Models({"base": "hf:a", "judge": "hf:c"}, Held)
    with pytest.raises(DoesNotFit):  # nothing of its own is idle
        alone["base"]


def test_a_model_that_was_closed_gives_its_weights_back(tmp_path):
    from tuneworthy.models import open_model
    from tuneworthy.models._roles import Models

    for name in ("a", "b"):
        build("llama", tmp_path / name)
    wanted = {"base": "hf:./a", "bigger": "hf:./b"}
    models = Models(wanted, lambda spec, fields: open_model(spec, folder=tmp_path))
    kept = weakref.ref(models["bigger"].module)
    assert models["base"].spec == "hf:./a"
    assert models.close_one() == "hf:./b"
    assert kept() is None
    assert models.close_one() is None  # the base stays


def test_nothing_in_double_precision_is_asked_of_apples_gpu():
    """Apple's GPU has no double precision: sampling, comparing and summing in it run on the CPU."""
    import torch

    from tuneworthy.models.local.device import exact

    class Apples(torch.Tensor):
        """A tensor that reports the device `mps` and refuses double precision, as it does."""

        device = torch.device("mps")

        def double(self):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

        def cpu(self):
            return self.as_subclass(torch.Tensor)

    found = exact(torch.tensor([1.5, 2.5]).as_subclass(Apples))
    assert found.dtype == torch.float64
    assert found.tolist() == [1.5, 2.5]
    assert exact(torch.tensor([1.5])).dtype == torch.float64  # elsewhere it stays where it lies


def test_no_file_of_the_general_path_makes_doubles_on_the_device():
    from pathlib import Path

    import tuneworthy

    home = Path(tuneworthy.__file__).parent
    files = ["models/local/forward.py", "models/local/generate.py", "models/local/score.py",
             "models/local/device_attention.py", "models/train/loss.py", "models/train/loop.py",
             "models/train/figures.py"]  # fmt: skip
    assert not [name for name in files if ".double()" in (home / name).read_text("utf-8")]
