"""Requests to a server that we started, other than for answers: adapters, tokens, scores."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tuneworthy.models.remote.server_process import DIRECT, RunningServer
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError, ProviderError
from tuneworthy.records.model import Prompt

_MOST_REQUEST_SECONDS = 600.0  # most seconds that one of these requests may take

_MOST_BYTES = 64_000_000  # most bytes of an answer that are read

_SHOWN_CHARACTERS = 300  # most characters of a refusal in an error


def post(server: RunningServer, path: str, body: dict[str, Any]) -> Any:
    """Return a server's answer to a POST: JSON, else text. Raises ProviderError on a refusal."""
    request = urllib.request.Request(
        server.url.removesuffix("/v1") + path,
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"},
    )
    try:
        with DIRECT.open(request, timeout=_MOST_REQUEST_SECONDS) as page:
            text = page.read(_MOST_BYTES).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        answer = error.read(_MOST_BYTES).decode("utf-8", "replace").replace(server.key, "[the key]")
        raise _request_error(server, path, f"{error.code}: {answer[:_SHOWN_CHARACTERS]}") from None
    except (OSError, ValueError) as error:
        raise _request_error(server, path, f"{type(error).__name__}: {error}") from error
    try:
        return json.loads(text)
    except ValueError:
        return text


def _request_error(server: RunningServer, path: str, got: str) -> ProviderError:
    return ProviderError(
        f"{server.kind} does not do what it is asked",
        where=path,
        got=got,
        fix="see the version of the server; a command of your own may need other options",
    )


class ServerScores:
    """Reads log-probabilities of given token ids from one server, under any model it serves.

    At most `connections` requests are under way. Each request has its own cache salt, so that no
    value comes from the server's prefix cache, where another request computed it. `fields` are
    further fields of a request for an answer, such as the switch for thinking.
    """

    def __init__(
        self,
        server: RunningServer,
        connections: int = 8,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self.server, self.connections, self.fields = server, connections, dict(fields or {})

    def scores(self, name: str, rows: Sequence[tuple[Sequence[int], int]]) -> list[list[float]]:
        """Return for each (ids, first) the log-probability of every id from `first` on.

        Log-probabilities are natural logarithms at temperature 1. Raises ProviderError.
        """
        with ThreadPoolExecutor(self.connections) as pool:
            return list(pool.map(lambda row: self._score(name, *row), rows))

    def _score(self, name: str, ids: Sequence[int], first: int) -> list[float]:
        body = {"model": name, "prompt": list(ids), "echo": True, "logprobs": 1, "max_tokens": 1,
                "temperature": 0.0, "cache_salt": secrets.token_hex(16)}  # fmt: skip
        answer = post(self.server, "/v1/completions", body)
        try:
            values = answer["choices"][0]["logprobs"]["token_logprobs"][first : len(ids)]
            found = [float(value) for value in values]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            got = f"{type(error).__name__}: {str(answer)[:_SHOWN_CHARACTERS]}"
            raise _request_error(self.server, "/v1/completions", got) from None
        if len(found) != len(ids) - first:
            got = f"{len(found)} log-probabilities for {len(ids) - first} tokens"
            raise _request_error(self.server, "/v1/completions", got)
        return found

    def likeliest(self, name: str, ids: Sequence[int], cached: bool) -> dict[str, float]:
        """Return {likeliest next token: log-probability}; `cached`: the prefix cache may be used.

        Raises ProviderError.
        """
        body = {"model": name, "prompt": list(ids), "logprobs": 5, "max_tokens": 1,
                "temperature": 0.0}  # fmt: skip
        if not cached:
            body["cache_salt"] = secrets.token_hex(16)
        answer = post(self.server, "/v1/completions", body)
        try:
            top = answer["choices"][0]["logprobs"]["top_logprobs"][0]
            return {str(token): float(value) for token, value in top.items()}
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            got = f"{type(error).__name__}: {str(answer)[:_SHOWN_CHARACTERS]}"
            raise _request_error(self.server, "/v1/completions", got) from None

    def answered(self, name: str, prompt: Sequence[Message]) -> tuple[str, int | None]:
        """Return (model that a reply names, prompt tokens that the server counted or None)."""
        body = {**self.fields, "model": name, "max_tokens": 1, "temperature": 0.0,
                "messages": [{"role": m.role, "content": m.content} for m in prompt]}  # fmt: skip
        answer = post(self.server, "/v1/chat/completions", body)
        try:
            read = answer.get("usage", {}).get("prompt_tokens")
            return str(answer["model"]), None if read is None else int(read)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            got = f"{type(error).__name__}: {str(answer)[:_SHOWN_CHARACTERS]}"
            raise _request_error(self.server, "/v1/chat/completions", got) from None


_PROBES = ("0", "x")  # answers without a common ending: tokens after both end a turn


class LabelScores:
    """Scores texts as answers of the model `name`; the server renders messages at `path`.

    `fields` are further fields of a request to render, such as the switch for thinking.
    """

    def __init__(
        self, scores: ServerScores, path: str, name: str, fields: Mapping[str, Any]
    ) -> None:
        self.scores, self.path, self.name, self.fields = scores, path, name, dict(fields)
        self._texts: dict[str, list[int]] = {}
        self._ending: int | None = None

    @property
    def server(self) -> RunningServer:
        """Return the server that renders and scores."""
        return self.scores.server

    def logprobs(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Return the summed log-probability of each continuation, end of turn included.

        Raises ProviderError, or ModelError if the server's template shows no end of a turn.
        """
        rows, sizes = [], []
        for prompt, texts in zip(prompts, continuations, strict=True):
            ids = self._prompt_ids(list(prompt), True)
            rows += [([*ids, *self._text_ids(text), self._end_id()], len(ids)) for text in texts]
            sizes.append(len(texts))
        sums = iter([sum(values) for values in self.scores.scores(self.name, rows)])
        return [[next(sums) for _ in range(size)] for size in sizes]

    def _prompt_ids(self, messages: Sequence[Message], reply: bool) -> list[int]:
        turns = [{"role": m.role, "content": m.content} for m in messages]
        scores = {"messages": turns, "add_generation_prompt": reply, **self.fields}
        return self._request_ids(scores)

    def _text_ids(self, text: str) -> list[int]:
        if text not in self._texts:
            self._texts[text] = self._request_ids({"prompt": text, "add_special_tokens": False})
        return self._texts[text]

    def _end_id(self) -> int:
        """Return the id of the token that ends a turn: the first token after any answer."""
        if self._ending is None:
            user = Message(role="user", content="x")
            one, other = (
                self._prompt_ids([user, Message(role="assistant", content=text)], False)
                for text in _PROBES
            )
            same = 0
            while same < min(len(one), len(other)) and one[-1 - same] == other[-1 - same]:
                same += 1
            if not same:
                raise ModelError(
                    "the model's template shows no end of a turn, so labels can't be scored",
                    where=self.server.kind,
                    got=self.name,
                    fix="leave the arms out that score labels, or answer with hf:",
                )
            self._ending = one[-same]
        return self._ending

    def _request_ids(self, scores: dict[str, Any]) -> list[int]:
        reply = post(self.server, self.path, {"model": self.name, **scores})
        try:
            return [int(token) for token in reply["tokens"]]
        except (KeyError, TypeError, ValueError):
            raise ModelError(
                "the server does not say which tokens a text has",
                where=self.path,
                got=str(reply)[:200],
                fix="see the version of the server",
            ) from None
