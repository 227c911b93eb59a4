"""Read the words that generated tasks are made of: TOML files in `words/`."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any


@lru_cache
def load_words(name: str) -> Any:
    """Return the lists and tables of `words/NAME.toml` as attributes."""
    path = Path(__file__).parent / "words" / f"{name}.toml"
    return SimpleNamespace(**tomllib.loads(path.read_text("utf-8")))
