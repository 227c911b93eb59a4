"""Track whether a decoded row is at its start, in a thought, or in its answer.

A thought has its own token limit; an answer's limit counts from the end of the thought. Knows no
model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tuneworthy.core.errors import ModelError
from tuneworthy.core.model import Limits
from tuneworthy.models.local.thinking import Tags, Thinking, strip_answer_tags

_TAIL_TOKENS = 24  # last tokens searched for a closing tag, which is no longer than this
_SHORT_THOUGHT = 16  # token limit of an unexpected thought; an empty one has four or five


@dataclass(frozen=True)
class ThoughtLimits:
    """Tags and token limits to separate a row's thought from its answer.

    `begun` are the tags of a thought that is open when the row begins; `most` is the token limit of
    a thought, `answer` that of an answer, `room` that of both. `text` decodes ids, special tokens
    included.
    """

    tags: tuple[Tags, ...]
    begun: Tags | None
    most: int
    answer: int
    room: int
    text: Callable[[Sequence[int]], str]


def watch_for(
    thinking: Thinking,
    limits: Limits,
    text: Callable[[Sequence[int]], str],
    *,
    expected: bool | None = None,
) -> ThoughtLimits | None:
    """Return the thought limits of a request, None if no thought has to be separated.

    If no thought is `expected` (by default: if the model does not think), a grammar applies from
    the first token, and a thought gets only a few tokens. Without `thought_tokens` a thought shares
    the answer's tokens. Raises ModelError if the limits contradict the model's setting.
    """
    _check(thinking, limits)
    expected = thinking.thinks if expected is None else expected
    constrained = limits.grammar is not None
    if not thinking.tags or (constrained and not thinking.thinks):
        return None
    most = limits.thought_tokens if expected else min(_SHORT_THOUGHT, limits.thought_tokens)
    begun = thinking.begun if thinking.state == "open" or constrained else None
    answer = max(limits.max_tokens, 1)
    return ThoughtLimits(thinking.tags, begun, most or answer, answer, answer + most, text)


def answer_of(
    thought: Thought | None, ids: Sequence[int], text: Callable[[Sequence[int]], str]
) -> tuple[str, int]:
    """Return the answer's text in a row's ids, and the number of ids of the thought before it."""
    if thought is None or not thought.tokens:
        return text(ids), 0
    return strip_answer_tags(thought.lead + text(ids[thought.tokens :])), thought.tokens


def text_before_stop(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first stop word in it."""
    cuts = [text.find(word) for word in stop if word in text]
    return text[: min(cuts)] if cuts else text


def _check(thinking: Thinking, limits: Limits) -> None:
    """Raise ModelError if a request's `thinking` contradicts the setting of the opened model."""
    wanted = {"on": thinking.state != "off", "off": not thinking.thinks}
    if not wanted.get(limits.thinking, True):
        raise ModelError(
            "a model that runs here thinks as it was told when it was opened",
            got=f"thinking: {limits.thinking}",
            fix="set `thinking` for the whole task",
        )


class Thought:
    """The thought of one row; `tokens` is the number of its tokens so far, tags included.

    `lead` is the text that follows the closing tag within the tag's last token. Without a closing
    tag there is no answer.
    """

    __slots__ = ("lead", "tags", "tokens", "watch", "where")

    def __init__(self, watch: ThoughtLimits) -> None:
        self.watch, self.tags = watch, watch.begun
        self.where: Literal["head", "thought", "answer"] = "thought" if watch.begun else "head"
        self.tokens, self.lead = 0, ""

    @property
    def inside(self) -> bool:
        """Return whether the next token belongs to a thought."""
        return self.where == "thought"

    @property
    def done(self) -> bool:
        """Return whether the row is in its answer."""
        return self.where == "answer"

    def take(self, ids: Sequence[int]) -> bool:
        """Process the row's ids, of which the last is new; return whether the row ended."""
        if self.where == "head":
            self._begin(self.watch.text(ids).lstrip())
        if self.where == "thought":
            self._go_on(ids)
        if self.where == "thought":
            return self.tokens >= self.watch.most
        return len(ids) - self.tokens >= self.watch.answer

    def _begin(self, text: str) -> None:
        for tags in self.watch.tags:
            if text.startswith(tags.start):
                self.where, self.tags = "thought", tags
                return
        text = text.rstrip("\ufffd")  # an incomplete character
        if text and not any(tags.start.startswith(text) for tags in self.watch.tags):
            self.where = "answer"

    def _go_on(self, ids: Sequence[int]) -> None:
        assert self.tags is not None
        self.tokens = len(ids)
        tail = self.watch.text(ids[-_TAIL_TOKENS:])
        _, end, after = tail.rpartition(self.tags.end)
        if end:
            self.where, self.lead = "answer", after
