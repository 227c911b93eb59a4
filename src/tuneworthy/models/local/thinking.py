"""_Switch a model's thinking in its chat template, and recognise the tags around a thought.

The two tables here have all facts about particular models, from their public chat templates (see
the date). The switch is written into the template itself, so that training, inference and the
model's fingerprint share it. Knows no tokenizer and no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tuneworthy.records.errors import ModelError
from tuneworthy.records.model import Limits

Setting = Literal["auto", "off", "on"]

State = Literal["none", "off", "open", "free", "maybe"]


@dataclass(frozen=True)
class Tags:
    """The tags around a thought; `gap` is the text between its closing tag and the answer.

    `always`: a model with these tags in its template thinks, even if its prompt opens no thought.
    """

    start: str
    end: str
    gap: str = "\n\n"
    always: bool = False


@dataclass(frozen=True)
class _Switch:
    """A template variable that turns thinking off and on; the template must also contain `word`."""

    name: str
    off: Any
    on: Any
    word: str = ""


# Read from public templates on 2026-11-28.
TAGS = (
    Tags("<think>", "</think>"),  # Qwen3, DeepSeek, GLM-4.5, SmolLM3, Granite 3, EXAONE 4, …
    Tags("<thought>", "</thought>"),  # EXAONE Deep
    Tags("<seed:think>", "</seed:think>"),  # Seed-OSS
    Tags("[THINK]", "[/THINK]", gap=""),  # Magistral, Mistral
    Tags("<|START_THINKING|>", "<|END_THINKING|>", gap=""),  # Command A Reasoning
    Tags("<|channel>thought", "<channel|>", gap=""),  # Gemma 4
    Tags("◁think▷", "◁/think▷"),  # Kimi-VL
    Tags(  # gpt-oss
        "<|channel|>analysis<|message|>",
        "<|start|>assistant<|channel|>final<|message|>",
        gap="",
        always=True,
    ),
)

_SWITCHES = (
    _Switch("enable_thinking", False, True),  # Qwen3, SmolLM3, GLM-4.5, EXAONE 4, Gemma 4
    _Switch("thinking", False, True),  # DeepSeek V3.1, Granite 3.2
    _Switch("thinking_budget", 0, -1),  # Seed-OSS: 0 is none, -1 unlimited
    _Switch("reasoning", False, True),  # Command A Reasoning
    _Switch("reasoning_effort", "none", "high", word="none"),  # Mistral; gpt-oss has no `none`
)
# Tags that thinking models write around an answer and that are not part of it.
_ANSWER_TAGS = (
    ("<response>", "</response>"),  # Granite 3.2
    ("<answer>", "</answer>"),  # Hunyuan
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|START_TEXT|>", "<|END_TEXT|>"),
)


@dataclass(frozen=True)
class Thinking:
    """How an opened model thinks.

    `state`: `none` (no tags are known), `off` (switched off), `open` (its prompt opens the
    thought), `free` (the model opens it), `maybe` (it has the tags and no switch). `begun` are the
    tags of the thought that the prompt opens, or that the model should open.
    """

    state: State = "none"
    tags: tuple[Tags, ...] = ()
    begun: Tags | None = None

    @property
    def thinks(self) -> bool:
        """Return whether a thought is expected before every answer."""
        return self.state in ("open", "free")


NEVER = Thinking()


def set_switch(
    template: str, words: Iterable[str], setting: Setting, render: Callable[[str], str | None]
) -> tuple[str, Thinking]:
    """Return the template with its thinking switch set, and how the model then thinks.

    `words` are the tokenizer's added tokens; `render` returns the prompt of a plain question under
    a template, None if that fails. `auto` switches thinking off if possible. Raises ModelError for
    `off` if the model always thinks.
    """
    vocabulary = set(words)
    tags = tuple(
        tag for tag in TAGS if any(t in template or t in vocabulary for t in (tag.start, tag.end))
    )
    if switch := _switch(template, render):
        template = _template_with_switch(template, switch, on := setting == "on")
        begun = opened(render(template))
        if on:
            return template, _thinking_switched_on(tags, begun)
        if not begun:
            return template, Thinking("off", tags)
    begun = opened(render(template))
    if not begun and not any(tag.always for tag in tags):
        return template, Thinking("maybe", tags) if tags else NEVER
    if setting == "off":
        raise ModelError(
            "this model always thinks before it answers: its chat template has no switch",
            where="task.yaml: thinking",
            got="thinking: off",
            fix="write `thinking: auto` (its thoughts get `thinking_tokens` of their own), or "
            "choose a model that can answer at once",
        )
    return template, _thinking_switched_on(tags, begun)


def _thinking_switched_on(tags: tuple[Tags, ...], begun: Tags | None) -> Thinking:
    if not tags:
        raise ModelError(
            "the model can think, but how it marks its thoughts is not known",
            where="task.yaml: thinking",
            got="thinking: on",
            fix="write `thinking: off`",
        )
    return Thinking("open" if begun else "free", tags, begun or tags[0])


def opened(text: str | None) -> Tags | None:
    """Return the tags of the thought that a rendered prompt opens at its end, or None."""
    end = (text or "").rstrip()
    return next((tag for tag in TAGS if end.endswith(tag.start)), None)


def _strip_answer_tags(text: str) -> str:
    """Return an answer without leading whitespace, and without answer tags around it."""
    text = text.lstrip()
    for start, end in _ANSWER_TAGS:
        if text.startswith(start):
            return text[len(start) :].partition(end)[0].strip()
    return text


def _switch(template: str, render: Callable[[str], str | None]) -> _Switch | None:
    """Return the switch that is in the template and changes the rendered prompt, or None."""
    for switch in _SWITCHES:
        if not re.search(rf"\b{switch.name}\b", template):
            continue
        if switch.word and not re.search(rf"['\"]{switch.word}['\"]", template):
            continue
        off, on = (
            render(_template_with_switch(template, switch, value)) for value in (False, True)
        )
        if None not in (off, on) and off != on:
            return switch
    return None


def _template_with_switch(template: str, switch: _Switch, on: bool) -> str:
    value = switch.on if on else switch.off
    literal = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{{% set {switch.name} = {literal} +%}}{template}"


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
    """Return (answer's text without the thought before it, number of the thought's ids)."""
    if thought is None or not thought.tokens:
        return text(ids), 0
    return _strip_answer_tags(thought.lead + text(ids[thought.tokens :])), thought.tokens


def text_before_stop(text: str, stop: Sequence[str]) -> str:
    """Return the text before the earliest stop word in it; the whole text if it has none."""
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
