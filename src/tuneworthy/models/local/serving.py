"""The command that serves an adapter behind an OpenAI-compatible URL. Runs nothing."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

# allowed values of vLLM's --max-lora-rank; 16 is its default
_RANKS = (16, 32, 64, 128, 256, 320, 512)


def serve_command(spec: str, home: Path, adapter: Path, name: str) -> str:
    """Return the vLLM command for a base (`spec`, relative paths from `home`) with an adapter.

    Requests then go to `openai:NAME@http://localhost:8000/v1`. "" if there is no adapter (or none
    any more), or if vLLM can't serve its rank or its kind (DoRA).
    """
    try:
        config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
        rank, dora = int(config["r"]), bool(config.get("use_dora"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    if dora or rank > _RANKS[-1] or (base := _base(spec, home)) is None:
        return ""
    safe = re.sub(r"[^\w.]+", "-", name).strip("-")
    words = ["vllm", "serve", *base, "--enable-lora"]
    if rank > _RANKS[0]:
        words += ["--max-lora-rank", str(next(most for most in _RANKS if most >= rank))]
    return shlex.join([*words, "--lora-modules", f"{safe}={adapter.resolve()}"])


def _base(spec: str, home: Path) -> list[str] | None:
    """Return vLLM's name of the base: a folder, or a hub name with its revision."""
    from tuneworthy.models.local.embedded import NAME, locate

    if spec == NAME:
        return [str(folder)] if (folder := locate()) else None
    kind, _, rest = spec.partition(":")
    if kind != "hf":
        return None
    if rest.startswith((".", "/", "~")):
        return [str((home / Path(rest).expanduser()).resolve())]
    repo, _, revision = rest.partition("@")
    return [repo, "--revision", revision] if revision else [repo]
