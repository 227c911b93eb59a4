"""Run a GGUF file in llama.cpp (the package xllamacpp), as llama-server and Ollama do.

Knows no task.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tuneworthy.records.errors import ModelError
from tuneworthy.records.model import Prompt, Reply
from tuneworthy.records.record import canonical

_NO_LOG = -1
_SLOTS = 8  # parallel requests: they share each read of the weights


def missing() -> str:
    """Return why llama.cpp can't run here with the fix, "" if its package is installed."""
    if find_spec("xllamacpp") is None:
        return "xllamacpp is not installed: pip install 'tuneworthy[build]'"
    return ""


class LlamaCpp:
    """A GGUF file in llama.cpp's server code, in this process, with 8 parallel requests."""

    def __init__(self, file: Path, context: int) -> None:
        """Open the file for requests of at most `context` tokens each, answer included.

        Raises ModelError if llama.cpp refuses it.
        """
        import xllamacpp

        options = xllamacpp.CommonParams()
        options.model.path = str(file)
        options.n_ctx, options.n_parallel, options.warmup = context * _SLOTS, _SLOTS, False
        options.cpuparams.n_threads = os.cpu_count() or 1
        options.verbosity, options.port = _NO_LOG, 0
        try:
            self._server: Any = xllamacpp.Server(options)
        except Exception as error:  # foreign code: it raises RuntimeError, ValueError and others
            raise ModelError(
                "llama.cpp can't open the file", where=str(file), got=str(error),
                fix="build another form, or write the GGUF with llama.cpp's own converter",
            ) from error  # fmt: skip
        self.name = f"llama.cpp, xllamacpp {version('xllamacpp')}"
        self._read: dict[str, int] = {}
        self._logs: dict[tuple[str, str], list[float]] = {}

    def prompt_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return each prompt's token count, rendered by the chat template in the file."""
        self.reply([prompt for prompt in prompts if _key(prompt) not in self._read], 1)
        return [self._read[_key(prompt)] for prompt in prompts]

    def reply(
        self,
        prompts: Sequence[Prompt],
        max_tokens: int,
        expected: Sequence[str] = (),  # noqa: ARG002
    ) -> list[Reply]:
        """Return one greedy reply of at most `max_tokens` tokens for each prompt."""
        with ThreadPoolExecutor(_SLOTS) as pool:
            return list(pool.map(self._ask, prompts, [max_tokens] * len(prompts)))

    def token_logprobs(
        self, prompts: Sequence[Prompt], texts: Sequence[str]
    ) -> list[list[float] | None]:
        """Return each text's token log-probabilities, None if `reply` did not generate it.

        None for other texts: llama.cpp's server can't score given texts.
        """
        return [self._logs.get((_key(p), text)) for p, text in zip(prompts, texts, strict=True)]

    def _ask(self, prompt: Prompt, max_tokens: int) -> Reply:
        begun = time.perf_counter()
        done = self._server.handle_chat_completions({
            "messages": [{"role": m.role, "content": m.content} for m in prompt],
            "max_tokens": max_tokens, "temperature": 0, "logprobs": True, "top_logprobs": 1,
            "cache_prompt": True,
        })  # fmt: skip
        if not isinstance(done, dict) or not done.get("choices"):
            return Reply(text="", finish="error", error=str(done)[:200])
        choice, usage = done["choices"][0], done["usage"]
        text = choice["message"].get("content") or ""
        logs = [one["logprob"] for one in (choice.get("logprobs") or {}).get("content", ())]
        self._read[_key(prompt)] = usage["prompt_tokens"]
        self._logs[_key(prompt), text] = logs
        return Reply(
            text=text,
            tokens_in=usage["prompt_tokens"],
            tokens_out=usage["completion_tokens"],
            seconds=time.perf_counter() - begun,
            finish="stop" if choice["finish_reason"] == "stop" else "length",
        )


def _key(prompt: Prompt) -> str:
    return canonical([message.plain() for message in prompt])
