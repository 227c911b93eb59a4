"""Switch a model's thinking in its chat template, and recognise the tags around a thought.

The two tables here have all facts about particular models, from their public chat templates (see
the date). The switch is written into the template itself, so that training, inference and the
model's fingerprint share it. Knows no tokenizer and no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tuneworthy.core.errors import ModelError

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
class Switch:
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
SWITCHES = (
    Switch("enable_thinking", False, True),  # Qwen3, SmolLM3, GLM-4.5, EXAONE 4, Gemma 4
    Switch("thinking", False, True),  # DeepSeek V3.1, Granite 3.2
    Switch("thinking_budget", 0, -1),  # Seed-OSS: 0 is none, -1 unlimited
    Switch("reasoning", False, True),  # Command A Reasoning
    Switch("reasoning_effort", "none", "high", word="none"),  # Mistral; gpt-oss has no `none`
)
# Tags that thinking models write around an answer and that are not part of it.
_AROUND = (
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
            return template, _thinks(tags, begun)
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
    return template, _thinks(tags, begun)


def _thinks(tags: tuple[Tags, ...], begun: Tags | None) -> Thinking:
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


def strip_answer_tags(text: str) -> str:
    """Return an answer without leading whitespace, and without answer tags around it."""
    text = text.lstrip()
    for start, end in _AROUND:
        if text.startswith(start):
            return text[len(start) :].partition(end)[0].strip()
    return text


def _switch(template: str, render: Callable[[str], str | None]) -> Switch | None:
    """Return the switch that is in the template and changes the rendered prompt, or None."""
    for switch in SWITCHES:
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


def _template_with_switch(template: str, switch: Switch, on: bool) -> str:
    value = switch.on if on else switch.off
    literal = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{{% set {switch.name} = {literal} +%}}{template}"
