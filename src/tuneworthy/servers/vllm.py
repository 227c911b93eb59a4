"""vLLM: `vllm serve` from an environment of its own, never in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tuneworthy.core.served import ServerModel

# Without a version pip would choose a release that is years old, to fit our packages.
PROGRAM = ("uvx", "--from", "vllm==0.33.0", "vllm")
HEALTH = "/health"
TOKENS, ADAPTERS = "/tokenize", "/v1/load_lora_adapter"
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what --max-lora-rank takes
_GRAMMAR = {"backend": "guidance", "disable_any_whitespace": True}


def command(program: Sequence[str], model: ServerModel, port: int) -> list[str]:
    """Return the command; sampling defaults of the model's own repository are not taken."""
    words = [*program, "serve", model.weights, "--host", "127.0.0.1", "--port", str(port)]
    words += ["--served-model-name", model.name, "--generation-config", "vllm"]
    words += ["--structured-outputs-config", json.dumps(_GRAMMAR)]
    if model.rank:
        most = next((rank for rank in _RANKS if rank >= model.rank), model.rank)
        words += ["--enable-lora", "--max-lora-rank", str(most)]
    return words + (["--revision", model.revision] if model.revision else [])


def tuned_name(model: ServerModel, adapter: str) -> str:  # noqa: ARG001
    """Return the adapter's own name."""
    return adapter


def environment(key: str) -> dict[str, str]:
    """Return the key, and the switch that makes answers independent of their batch.

    vLLM has it for GPUs of compute capability 8.0 or more and leaves it aside elsewhere. Adapters
    may be loaded while it runs: it listens on 127.0.0.1 alone, and the route needs the key.
    """
    return {
        "VLLM_API_KEY": key,
        "VLLM_BATCH_INVARIANT": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    }
