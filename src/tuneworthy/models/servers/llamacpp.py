"""Start llama.cpp's `llama-server` for a GGUF file or a hub repository that has one."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.records.model import ServerModel

PROGRAM = ("llama-server",)
HEALTH = "/health"
TOKENS, ADAPTERS = "", ""  # it scores no given text, and takes adapters in GGUF alone
_PARALLEL_REQUESTS = 8  # requests at a time: they share each read of the weights


def command(program: Sequence[str], model: ServerModel, port: int) -> list[str]:
    """Return the start command; the server uses the chat template in the GGUF file."""
    source = ["-m", model.weights] if model.is_path else ["-hf", model.weights]
    words = [*program, *source, "--host", "127.0.0.1", "--port", str(port)]
    return [*words, "--alias", model.name, "--jinja", "--parallel", str(_PARALLEL_REQUESTS)]


def environment(key: str) -> dict[str, str]:
    """Return the environment variable of the key that requests must carry."""
    return {"LLAMA_API_KEY": key}
