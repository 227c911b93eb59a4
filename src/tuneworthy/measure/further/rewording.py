"""Reword a prompt: wrappers around the instruction, and a shorter or longer prompt. Pure.

The three fixed wrappers do not change the request. A prompt that does not contain the instruction
(a template of the user's own) has no rewording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuneworthy.arms.prompt.messages import specification
from tuneworthy.models._reply_cache import Change
from tuneworthy.records.case import Message
from tuneworthy.records.model import Prompt
from tuneworthy.records.task import Task, Tool

PROMPT_WRAPPERS = (
    "Your task is the following. {}",
    "Please do this for me, exactly as described: {} Thank you.",
    "You will get an input.\n\nWhat to do with it:\n{}",
)


SHORTENED_NOTE, LENGTHENED_NOTE = "without its long prompt", "with the long prompt"


# The tools whose prompt may be shortened or lengthened.
_TOOLS_WITH_PROMPT = {"prompt", "tune", "distil"}


@dataclass(frozen=True)
class _Rewording:
    """A function that changes a prompt (`change`), and the name of the change (`how`)."""

    how: str
    change: Change


def rewordings(task: Task, prompts: Sequence[Prompt], tool: Tool | None) -> list[_Rewording]:
    """Return the rewordings that apply to, and change, every prompt of an arm.

    They are the three wrappers; the instruction alone, for prompts with examples or the answer
    specification; and the specification, for prompts with the instruction alone.
    """
    instruction = task.instruction.strip()
    candidates = [
        _Rewording(f"reworded {number}", _wrap_instruction(instruction, wrapper))
        for number, wrapper in enumerate(PROMPT_WRAPPERS, 1)
    ]
    if tool in _TOOLS_WITH_PROMPT and all(map(_ends_with_the_input, prompts)):
        candidates += [
            _Rewording(SHORTENED_NOTE, _to_bare_instruction(task)),
            _Rewording(LENGTHENED_NOTE, _to_full_specification(task)),
        ]
    if not instruction or not prompts:
        return []
    return [
        rewording
        for rewording in candidates
        if all(_changes_prompt(rewording, prompt) for prompt in prompts)
    ]


def _changes_prompt(rewording: _Rewording, prompt: Prompt) -> bool:
    return list(rewording.change(prompt)) != list(prompt)


def _wrap_instruction(instruction: str, wrapper: str) -> Change:
    return lambda prompt: _replace_first(prompt, instruction, wrapper.format(instruction))


def _replace_first(prompt: Prompt, old: str, new: str) -> list[Message]:
    """Return the prompt with the first occurrence of a text replaced, system turns first."""
    messages = list(prompt)
    order = sorted(range(len(messages)), key=lambda at: (messages[at].role != "system", at))
    for at in order:
        if old and old in messages[at].content:
            text = messages[at].content.replace(old, new, 1)
            messages[at] = messages[at].model_copy(update={"content": text})
            break
    return messages


def _to_bare_instruction(task: Task) -> Change:
    """Return a function that cuts a prompt to instruction and input: no examples, no rules."""

    def change(prompt: Prompt) -> list[Message]:
        head = [message for message in prompt if message.role == "system"]
        bare = _replace_first([*head, prompt[-1]], specification(task), task.instruction.strip())
        return bare if any(task.instruction.strip() in m.content for m in bare) else list(prompt)

    return change


def _to_full_specification(task: Task) -> Change:
    """Return a function that puts the full answer specification in place of the instruction."""
    full, instruction = specification(task), task.instruction.strip()

    def change(prompt: Prompt) -> list[Message]:
        if any(full in message.content for message in prompt):
            return list(prompt)
        return _replace_first(prompt, instruction, full)

    return change


def _ends_with_the_input(prompt: Prompt) -> bool:
    return bool(prompt) and prompt[-1].role == "user"
