"""A model behind an inference server that this process starts and ends (vLLM, llama.cpp).

It is asked like any OpenAI-compatible endpoint. It costs nothing, and its answers are stored by
weights and command, since port and key change with each start.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneworthy.core.errors import ProviderError
from tuneworthy.core.model import Limits, Model, Prompt, Reply
from tuneworthy.core.plugins import load
from tuneworthy.core.record import digest
from tuneworthy.core.served import server_model
from tuneworthy.models.remote import prices, server_process
from tuneworthy.models.remote.endpoint import Endpoint, endpoint
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.server_process import RunningServer


class Launched:
    """A remote model whose server is ours: it ends with this object, or with the process."""

    def __init__(self, spec: str, server: RunningServer, remote: Any) -> None:
        self.spec, self.server, self._remote = spec, server, remote
        self.fingerprint: dict[str, str] = remote.fingerprint
        self.context: int | None = None
        self._end = weakref.finalize(self, server.stop)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes that readers of the results need on how the server was called."""
        return tuple(self._remote.notes)

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Answer each prompt. Raises as a remote model, an ended server's last lines included."""
        try:
            return list(self._remote.reply(prompts, limits))
        except ProviderError as error:
            if not (last := self.server.ended()):
                raise
            *before, end = last.splitlines()
            raise ProviderError(
                f"{self.server.kind} ended while it was asked",
                where=[line[:200] for line in before],
                got=end,
                fix="see these lines of its log, then run again: stored answers are kept",
            ) from error

    def count_tokens(self, prompt: Prompt) -> int:
        """Return an estimate of the tokens of a prompt (by the kind of text)."""
        return int(self._remote.count_tokens(prompt))

    def close(self) -> None:
        """End the server now. Can be called again."""
        self._end()


def open_launched(
    kind: str, rest: str, folder: Path, purse: Any = None, how: RequestOptions | None = None
) -> Model:
    """Start the server of a kind for `ORG/NAME[@REVISION]` or a path, or take a running one.

    Raises NotInstalled, ModelError, TaskError or SecurityError.
    """
    model, how = server_model(rest, folder), how or RequestOptions()
    remote = load("models", "openai_compatible").Remote
    if address := server_process.address_of(kind):
        named: Model = remote(model.name, endpoint(address), purse, prices.FREE, how=how)
        return named
    server = server_process.start(kind, model, how.say)
    command = digest(load("servers", kind).command([kind], model, 0), 12)
    origin = server.url.removesuffix("/v1")
    where = Endpoint(server.url, origin, server.key, True, started=f"{kind} {command}")
    try:
        return Launched(
            f"{kind}:{rest}", server, remote(model.name, where, purse, prices.FREE, how=how)
        )
    except BaseException:
        server.stop()
        raise
