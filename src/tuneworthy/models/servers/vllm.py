"""Start `vllm serve` from an environment of its own, never in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tuneworthy.records.model import ServerModel

# Without a version pip would choose a release that is years old, to fit our packages.
PROGRAM = ("uvx", "--from", "vllm==0.33.0", "vllm")
HEALTH = "/health"
TOKENS, ADAPTERS = "/tokenize", "/v1/load_lora_adapter"
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # the values that --max-lora-rank accepts
_GRAMMAR_OPTIONS = {"backend": "guidance", "disable_any_whitespace": True}


def command(program: Sequence[str], model: ServerModel, port: int) -> list[str]:
    """Return the start command; sampling defaults of the model's repository are not used."""
    words = [*program, "serve", model.weights, "--host", "127.0.0.1", "--port", str(port)]
    words += ["--served-model-name", model.name, "--generation-config", "vllm"]
    words += ["--structured-outputs-config", json.dumps(_GRAMMAR_OPTIONS)]
    if model.rank:
        most = next((rank for rank in _LORA_RANKS if rank >= model.rank), model.rank)
        words += ["--enable-lora", "--max-lora-rank", str(most)]
    return words + (["--revision", model.revision] if model.revision else [])


def tuned_name(model: ServerModel, adapter: str) -> str:  # noqa: ARG001
    """Return the model name in requests: the adapter's name."""
    return adapter


def environment(key: str) -> dict[str, str]:
    """Return the environment variables of the key and of batch-invariant answers, among others.

    vLLM's batch invariance needs a GPU of compute capability 8.0 or more; elsewhere vLLM ignores
    the variable. Adapters may be loaded while it runs: it listens on 127.0.0.1 alone, and the route
    needs the key.
    """
    return {
        "VLLM_API_KEY": key,
        "VLLM_BATCH_INVARIANT": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    }
