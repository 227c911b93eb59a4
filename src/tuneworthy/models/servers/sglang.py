"""Start SGLang's server from an environment of its own."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.records.model import ServerModel

PROGRAM = ("uvx", "--from", "sglang[all]==0.5.23", "python")
HEALTH = "/health"
TOKENS, ADAPTERS = "", "/load_lora_adapter"  # its /tokenize renders no messages
# SGLang takes its key as an option only, and every user of a machine can read a command line.
_START_SCRIPT = (
    "import os, runpy, sys; sys.argv += ['--api-key', os.environ['SGLANG_SERVER_KEY']];"
    " runpy.run_module('sglang.launch_server', run_name='__main__')"
)


def command(program: Sequence[str], model: ServerModel, port: int) -> list[str]:
    """Return the start command: a Python script that passes the key on from its environment."""
    words = [*program, "-c", _START_SCRIPT, "--model-path", model.weights, "--host", "127.0.0.1"]
    words += ["--port", str(port), "--served-model-name", model.name]
    words += ["--grammar-backend", "llguidance", "--constrained-json-disable-any-whitespace"]
    if model.rank:
        words += ["--enable-lora", "--max-lora-rank", str(model.rank)]
        words += ["--lora-target-modules", "all"]
    return words + (["--revision", model.revision] if model.revision else [])


def tuned_name(model: ServerModel, adapter: str) -> str:
    """Return the model name in requests: the base's name and the adapter's."""
    return f"{model.name}:{adapter}"


def environment(key: str) -> dict[str, str]:
    """Return the environment variable of the key that requests must carry."""
    return {"SGLANG_SERVER_KEY": key}
