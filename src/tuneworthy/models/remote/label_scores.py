"""Log-probabilities of given answers (labels) under a model behind a server.

The server renders the prompt as for an answer; the label's tokens and the token that ends a turn
follow. Every request stays out of the prefix cache (see `ServerScores`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.core.case import Message
from tuneworthy.core.errors import ModelError
from tuneworthy.core.model import Prompt
from tuneworthy.models.remote.server_process import RunningServer
from tuneworthy.models.remote.server_requests import ServerScores, post

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
