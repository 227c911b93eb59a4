"""A model behind an inference server that this process starts and ends (vLLM, llama.cpp).

Requests are those of any OpenAI-compatible endpoint. They cost nothing, and replies are stored by
weights and command, since port and key change with each start. Adapters are trained in this
process, on the same weights, while the server is ended, and served by it (see models/_adapted).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tuneworthy.models._adapted import Adapted, AdaptedScorer, summed_logprobs
from tuneworthy.models._reply_cache import bypassed
from tuneworthy.models.local.device import ANYWHERE, Placement, device, release
from tuneworthy.models.remote import price_list, server_process
from tuneworthy.models.remote.endpoint import Endpoint, endpoint
from tuneworthy.models.remote.endpoint_facts import measure_noise
from tuneworthy.models.remote.request import RequestOptions, estimated_tokens
from tuneworthy.models.remote.server_process import RunningServer, ServerHost, end_servers
from tuneworthy.records.model import Limits, Model, Prompt, Reply, parse_server_model
from tuneworthy.records.plugins import load
from tuneworthy.records.record import digest

Result = TypeVar("Result")


class _Launched:
    """A model behind a server that this object starts; both end together, or with the process.

    `purse` stores its replies, `how` are the options of its requests, `place` is the device and
    precision in which an adapter is trained.
    """

    _adapted_class = Adapted

    def __init__(
        self, spec: str, host: ServerHost, purse: Any, how: RequestOptions, place: Placement
    ) -> None:
        self.spec, self.host, self.purse, self.how, self.place = spec, host, purse, how, place
        self.context: int | None = None
        plugin = load("servers", host.kind)
        self._command = digest(plugin.command([host.kind], host.model, 0), 12)
        self._remotes: dict[tuple[str, bool], tuple[RunningServer, Any]] = {}
        self.fingerprint: dict[str, str] = self.remote(host.model.name).fingerprint

    @property
    def server(self) -> RunningServer:
        """Return the running server; start it first if none runs."""
        return self.host.running()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes that readers of the results need on how the server was called."""
        known = self._remotes.get((self.host.model.name, True))
        return tuple(known[1].notes) if known else ()

    def remote(self, name: str, stored: bool = True) -> Any:
        """Return a client of the running server's model `name`; `stored`: keep its replies."""
        server = self.host.running()
        known = self._remotes.get((name, stored))
        if known is None or known[0] is not server:
            origin = server.url.removesuffix("/v1")
            where = Endpoint(
                server.url, origin, server.key, True, started=f"{server.kind} {self._command}"
            )
            purse = self.purse if stored else None
            client = load("models", "openai_compatible").Remote(
                name, where, purse, price_list.FREE,
                how=replace(self.how, family=self.host.model.name),
            )  # fmt: skip
            known = self._remotes[name, stored] = server, client
        return known[1]

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Return the reply to each prompt. Raises the errors of a remote model (`Remote.reply`)."""
        name = self.host.model.name
        with self.host.watched():
            if bypassed():  # a stored reply would be timed as if the server had sent it
                return list(self.remote(name, stored=False).reply(prompts, limits))
            client = self.remote(name)
            replies = list(client.reply(prompts, limits))
            if limits.temperature == 0:
                alone = self.remote(name, stored=False)
                measure_noise(
                    client.facts,
                    prompts,
                    replies,
                    lambda prompt: alone.reply([prompt], limits)[0],
                    self.spec,
                )
            return replies

    def count_tokens(self, prompt: Prompt) -> int:
        """Return an estimate of the tokens of a prompt (four bytes a token); start no server."""
        return estimated_tokens(prompt)

    def lend(self, work: Callable[[Any], Result]) -> Result:
        """Return the result of `work(model)`, with the same weights opened in this process.

        The server is ended first, and the weights are released afterwards, because memory has room
        for one of the two. Raises the errors of opening a local model.
        """
        if ended := end_servers():
            kinds = ", ".join(ended)
            self.host.say(f"{kinds} is ended while a model is trained here: both need the memory")
        try:
            return _with_local(self.host.model.trained_as, self.place, work)
        finally:
            release(device())

    def with_adapter(self, folder: Path, *, idle: bool = False) -> Adapted:  # noqa: ARG002
        """Return this model with a LoRA adapter, behind the same server.

        Raises ModelError if the folder has no adapter, or no proof rows beside it. The adapter is
        loaded and checked on its first request.
        """
        return self._adapted_class(self, folder)

    def close(self) -> None:
        """End the server now. Can be called again."""
        self.host.end()


class _LaunchedScorer(_Launched):
    """A launched model whose server also scores given texts, as to choose among labels."""

    _adapted_class = AdaptedScorer

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return the summed log-probability of each continuation, end of turn included.

        Raises ProviderError, or ModelError if the template shows no end of a turn.
        """
        with self.host.watched():
            return summed_logprobs(self, self.host.model.name, prompts, continuations)


def _with_local(spec: str, place: Placement, work: Callable[[Any], Result]) -> Result:
    """Return the result of `work(model)` for a local model, which is closed afterwards."""
    from tuneworthy.models import open_model

    return work(open_model(spec, folder=Path(), place=place))


def open_launched(
    kind: str,
    rest: str,
    folder: Path,
    purse: Any = None,
    how: RequestOptions | None = None,
    place: Placement = ANYWHERE,
) -> Model:
    """Return the model `rest` (`ORG/NAME[@REVISION]` or a path) behind a server of a kind.

    The server is started, or is a running one whose address the user set. Raises NotInstalled,
    ModelError, TaskError or SecurityError.
    """
    how = how or RequestOptions()
    model, plugin = parse_server_model(rest, folder), load("servers", kind)
    if address := server_process.address_of(kind):
        remote = load("models", "openai_compatible").Remote
        named: Model = remote(model.name, endpoint(address), purse, price_list.FREE, how=how)
        return named
    rank = how.rank if plugin.ADAPTERS else 0
    host = ServerHost(kind, model.model_copy(update={"rank": rank}), how.say)
    opened = _LaunchedScorer if plugin.TOKENS else _Launched
    return opened(f"{kind}:{rest}", host, purse, how, place)
