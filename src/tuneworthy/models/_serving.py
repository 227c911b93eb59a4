"""The command that serves an adapter behind an OpenAI-compatible URL. Runs nothing."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

_RANKS = (16, 32, 64, 128, 256, 320, 512)  # what vLLM's --max-lora-rank takes; it holds 16 unasked


def serve_command(spec: str, home: Path, adapter: Path, name: str) -> str:
    """Return the vLLM command for a base (`spec`, relative paths from `home`) with an adapter.

    Then `openai:NAME@http://localhost:8000/v1` asks it. "" where the adapter is not there, or its
    rank is one that vLLM can't serve.
    """
    try:
        rank = int(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    if rank > _RANKS[-1] or (base := _base(spec, home)) is None:
        return ""
    safe = re.sub(r"[^\w.]+", "-", name).strip("-")
    words = ["vllm", "serve", *base, "--enable-lora"]
    if rank > _RANKS[0]:
        words += ["--max-lora-rank", str(next(most for most in _RANKS if most >= rank))]
    return shlex.join([*words, "--lora-modules", f"{safe}={adapter.resolve()}"])


def _base(spec: str, home: Path) -> list[str] | None:
    """Return what vLLM calls the base: a folder, or a name of the hub with its revision."""
    from tuneworthy.models._embedded import NAME, locate

    if spec == NAME:
        return [str(found)] if (found := locate()) else None
    kind, _, rest = spec.partition(":")
    if kind != "hf":
        return None
    if rest.startswith((".", "/", "~")):
        return [str((home / Path(rest).expanduser()).resolve())]
    repo, _, revision = rest.partition("@")
    return [repo, "--revision", revision] if revision else [repo]
