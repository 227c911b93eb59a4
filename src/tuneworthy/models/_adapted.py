"""A model with a LoRA adapter behind a server that we started, checked before its first answer.

The adapter is loaded under a name made from its content, so that no server can answer from the
cache of another adapter. Its answers are stored by the study, shard by shard, and not by request:
if a check fails after some requests, their answers are not stored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneworthy.models._reply_cache import bypassed
from tuneworthy.models.remote.adapter_proofs import AdapterProof, ServedNames, prove, read_proofs
from tuneworthy.models.remote.request import SWITCH, estimated_tokens, fields_of, switch
from tuneworthy.models.remote.server_process import PATIENCE_SECONDS, RunningServer
from tuneworthy.models.remote.server_requests import LabelScores, ServerScores, post
from tuneworthy.records.errors import ModelError, NotProven, ProviderError
from tuneworthy.records.model import Limits, Prompt, Reply
from tuneworthy.records.plugins import load
from tuneworthy.records.record import digest, file_sha256

_ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")


class Adapted:
    """The model `base` (see models/launched.py) with the adapter in a folder.

    Raises ModelError for a folder without an adapter, or without its proof rows. The adapter is
    loaded and checked against them on the first request, and again after the server was ended.
    """

    def __init__(self, base: Any, folder: Path) -> None:
        self.base, self.folder, self.spec = base, folder, base.spec
        self.rows = read_proofs(folder)
        rank, content = _read_adapter(folder)
        base.host.allow_rank(rank)
        self.adapter = f"tuned-{content[:16]}"
        self.name = load("servers", base.host.kind).tuned_name(base.host.model, self.adapter)
        self.fingerprint = {**base.fingerprint, "adapter": content}
        self.context: int | None = None
        self._proof: tuple[RunningServer, AdapterProof] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Return () or a note that answers depend on their batch (known after the check)."""
        if self._proof is None:
            return ()
        floor = self._proof[1].floor
        if floor == 0:
            return ()
        kind = self.base.host.kind
        return (
            f"asked together and one by one, {kind} gives log-probabilities {floor:.1g} nats a"
            " token apart: answers depend on their batch",
        )

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Return the reply to each prompt; then check that the adapter has not changed.

        Raises NotProven if a proof fails, and the errors of the base.
        """
        with self.base.host.watched():
            proof = self._checked_proof()
            replies = list(self.base.remote(self.name, stored=False).reply(prompts, limits))
            for reply in replies:
                _check_served(reply, self.adapter)
            if not bypassed():  # only the answers are timed
                proof.check(self._scorer())
        return replies

    def count_tokens(self, prompt: Prompt) -> int:
        """Return an estimate of the tokens of a prompt (four bytes a token)."""
        return estimated_tokens(prompt)

    def with_adapter(self, folder: Path, *, idle: bool = False) -> Adapted:
        """Return the base model with another adapter, behind the same server."""
        adapted: Adapted = self.base.with_adapter(folder, idle=idle)
        return adapted

    def _scorer(self) -> ServerScores:
        fields = _template_fields(self.base)
        return ServerScores(self.base.server, self.base.how.connections, fields)

    def _checked_proof(self) -> AdapterProof:
        """Return the proof of the adapter on the running server; load and check it if needed."""
        host, server = self.base.host, self.base.server
        if self._proof is None or self._proof[0] is not server:
            host.say(f"loading the adapter {self.adapter} into {host.kind} and proving it")
            last = [name for name in host.adapters if name != self.name][-1:]
            names = ServedNames(host.model.name, self.name, last)
            self._proof = server, prove(self._scorer(), names, self.rows, self._load_adapter)
        return self._proof[1]

    def _load_adapter(self) -> None:
        host, server = self.base.host, self.base.server
        if self.name in host.adapters:
            return
        body = {"lora_name": self.adapter, "lora_path": str(self.folder.resolve())}
        try:
            told = post(server, load("servers", host.kind).ADAPTERS, body)
        except ProviderError as error:
            if isinstance(error.__cause__, OSError) and server.ended(PATIENCE_SECONDS):
                raise
            raise _not_loaded(host.kind, error.got) from error
        if isinstance(told, dict) and told.get("success") is False:
            raise _not_loaded(host.kind, str(told)[:200])
        host.adapters.append(self.name)


class AdaptedScorer(Adapted):
    """An adapted model whose server also scores given texts."""

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return the summed log-probability of each continuation, end of turn included."""
        with self.base.host.watched():
            proof = self._checked_proof()
            table = summed_logprobs(self.base, self.name, prompts, continuations)
            proof.check(self._scorer())
        return table


def summed_logprobs(
    model: Any, name: str, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
) -> list[list[float]]:
    """Return the summed log-probability of each continuation under the server's model `name`."""
    asked = ServerScores(model.server, model.how.connections)
    path = load("servers", model.host.kind).TOKENS
    scores = LabelScores(asked, path, name, _template_fields(model))
    return scores.logprobs(prompts, continuations)


def _template_fields(model: Any) -> dict[str, Any]:
    """Return the request field that sets the chat template's thinking switch, {} if it has none."""
    limits = Limits(max_tokens=1, thinking=model.place.thinking)
    fields = fields_of([switch(model.host.model.name, "127.0.0.1", limits), model.how.fields])
    return {SWITCH: fields[SWITCH]} if SWITCH in fields else {}


def _read_adapter(folder: Path) -> tuple[int, str]:
    """Return the rank of the adapter in a folder and the digest of its files."""
    try:
        config = json.loads((folder / _ADAPTER_FILES[1]).read_text("utf-8"))
        return int(config["r"]), digest([file_sha256(folder / name) for name in _ADAPTER_FILES])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "this folder holds no adapter that a server can load",
            where=str(folder),
            got=f"{type(error).__name__}: {error}",
            fix="train it again",
        ) from None


def _check_served(reply: Reply, adapter: str) -> None:
    """Raise NotProven if a reply says that another model than the adapter answered."""
    if reply.served is not None and not reply.served.endswith(adapter):
        raise NotProven(
            "the server says that another model answered",
            got=f"{reply.served} for {adapter}",
            fix="see the server's version; the arm is tried again on the next run",
        )


def _not_loaded(kind: str, got: str) -> NotProven:
    return NotProven(
        f"{kind} does not load the adapter",
        got=got,
        fix="see what its version loads; DoRA and whole weights are not among it",
        kept="the adapter, and all other answers",
    )
