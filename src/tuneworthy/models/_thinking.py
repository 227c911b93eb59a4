"""Models that think before they answer: how their templates switch it, and where a thought ends.

All that is known of particular models stands in the two tables here, by what their public chat
templates say (see the dates). The switch is written into the template itself, so that training,
asking and the model's fingerprint share it. Knows no tokenizer and no torch.
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
    """What stands around a thought. `gap` is written between its end and the answer.

    `always`: a model whose template has them thinks, though its prompt does not open a thought.
    """

    start: str
    end: str
    gap: str = "\n\n"
    always: bool = False


@dataclass(frozen=True)
class Switch:
    """A variable of a chat template that turns thinking off and on; `word` must be in it too."""

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
    Switch("thinking_budget", 0, -1),  # Seed-OSS: 0 is none, -1 as much as it likes
    Switch("reasoning", False, True),  # Command A Reasoning
    Switch("reasoning_effort", "none", "high", word="none"),  # Mistral; gpt-oss has no `none`
)
# Written around an answer by models that also think: no part of what was asked for.
_AROUND = (
    ("<response>", "</response>"),  # Granite 3.2
    ("<answer>", "</answer>"),  # Hunyuan
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|START_TEXT|>", "<|END_TEXT|>"),
)


@dataclass(frozen=True)
class Thinking:
    """How a model that is open thinks.

    `state`: `none` (nothing is known of thoughts), `off` (switched off), `open` (its prompt opens
    the thought), `free` (it is to open one itself), `maybe` (it knows the tags and has no switch).
    `begun` are the tags of the thought that the prompt opens, or that the model is to open.
    """

    state: State = "none"
    tags: tuple[Tags, ...] = ()
    begun: Tags | None = None

    @property
    def thinks(self) -> bool:
        """Say whether a thought is expected before every answer."""
        return self.state in ("open", "free")


NEVER = Thinking()


def settled(
    template: str, words: Iterable[str], setting: Setting, render: Callable[[str], str | None]
) -> tuple[str, Thinking]:
    """Return the template with its switch set, and how the model then thinks.

    `words` are the tokenizer's added tokens; `render` gives the prompt of a plain question under a
    template, None where that fails. `auto` switches thinking off where that can be done. Raises
    ModelError for `off` where the model thinks whatever it is told.
    """
    known = set(words)
    tags = tuple(
        tag for tag in TAGS if any(t in template or t in known for t in (tag.start, tag.end))
    )
    if switch := _switch(template, render):
        template = _set(template, switch, on := setting == "on")
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
    """Return the tags of the thought that a rendered prompt ends in, or None."""
    end = (text or "").rstrip()
    return next((tag for tag in TAGS if end.endswith(tag.start)), None)


def bare(text: str) -> str:
    """Return an answer that came after a thought, without blanks and tags around it."""
    text = text.lstrip()
    for start, end in _AROUND:
        if text.startswith(start):
            return text[len(start) :].partition(end)[0].strip()
    return text


def _switch(template: str, render: Callable[[str], str | None]) -> Switch | None:
    """Return the switch that the template knows and that changes what it renders."""
    for switch in SWITCHES:
        if not re.search(rf"\b{switch.name}\b", template):
            continue
        if switch.word and not re.search(rf"['\"]{switch.word}['\"]", template):
            continue
        off, on = (render(_set(template, switch, value)) for value in (False, True))
        if None not in (off, on) and off != on:
            return switch
    return None


def _set(template: str, switch: Switch, on: bool) -> str:
    value = switch.on if on else switch.off
    said = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{{% set {switch.name} = {said} +%}}{template}"
