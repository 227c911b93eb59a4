"""Follow one answer token by token while it is decoded: its text so far, its log-probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tuneworthy.models.local.device import exact
from tuneworthy.models.local.thinking import answer_of, text_before_stop

_INCOMPLETE = "\ufffd"  # decoders write it for an incomplete character

_TokenLog = tuple[int, float, list[tuple[int, float]]]
"""(token, its log-probability, the top tokens with theirs): at temperature 1, without a grammar."""


@dataclass(eq=False)
class Follower:
    """Follows one answer while it is decoded; `sample` is its number among the prompt's draws.

    `told` is called after each token, in the thread that decodes; the answer ends there if it
    returns True. `text` is the part of the answer that can't change any more, updated only if
    `watched`. `top`: number of top log-probabilities to store for each token; None: store none.
    `tops` has an entry for each token of the answer, `end` that of the end token.
    """

    told: Callable[[Follower], bool]
    sample: int = 0
    top: int | None = None
    watched: bool = False
    text: str = ""
    tops: list[_TokenLog] = field(default_factory=list)
    end: list[_TokenLog] = field(default_factory=list)

    def take(self, row: Any, logits: Any, token: int, draw: Any, ended: bool) -> bool:
        """Note a row's new token, drawn from `logits`; return whether its answer shall end.

        `row` is a DecodedRow of generate.py, `draw` its DecodingOptions.
        """
        out = row.out
        if self.top is not None:
            logs = torch.log_softmax(exact(logits), -1)
            values, which = logs.topk(max(self.top, 1))
            best = list(zip(which.tolist(), values.tolist(), strict=True))[: self.top]
            self.tops.append((token, float(logs[token]), best))
        if self.watched and not ended and (out.thought is None or out.thought.done):
            self.text = _certain(answer_of(out.thought, out.ids, draw.text)[0], draw.stop)
        return self.told(self)

    def restart(self) -> None:
        """Clear the log-probabilities, because the answer begins, or is generated a second time."""
        self.tops = []

    def finish(self, answer: Any) -> None:
        """Separate an answer's log-probabilities from those of its thought and end token."""
        thought = answer.thought.tokens if answer.thought else 0
        self.end = self.tops[len(answer.ids) :]
        self.tops = self.tops[thought : len(answer.ids)]


def _certain(text: str, stop: Sequence[str]) -> str:
    """Return the part of a text that later tokens can't change or cut off at a stop word."""
    text = text_before_stop(text, stop).rstrip(_INCOMPLETE)
    held = max((n for word in stop for n in range(1, len(word)) if text.endswith(word[:n])),
               default=0)  # fmt: skip
    return text[: len(text) - held]


Samples = Sequence[int | Follower] | None
"""The sample numbers of some prompts, or the followers that have them; None: one number for all."""
