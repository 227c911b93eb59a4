"""The same request in other words: wrappers around the instruction, and the other length of prompt.

Three fixed wrappers that add nothing to what is asked. A prompt whose instruction can't be found
in it (a template of the user's own) has no rewording. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuneworthy.core.case import Message
from tuneworthy.core.model import Prompt
from tuneworthy.core.task import Task, Tool
from tuneworthy.models._overrides import Change
from tuneworthy.prompting.messages import specification

WRAPPERS = (
    "Your task is the following. {}",
    "Please do this for me, exactly as described: {} Thank you.",
    "You will get an input.\n\nWhat to do with it:\n{}",
)
SHORT, LONG = "without its long prompt", "with the long prompt"
PROMPTS = {"prompt", "tune", "distil"}  # tools whose prompt may be cut or written out


@dataclass(frozen=True)
class Rewording:
    """A way to change a prompt, and what it is called."""

    how: str
    change: Change


def rewordings(task: Task, prompts: Sequence[Prompt], tool: Tool | None) -> list[Rewording]:
    """Return the changes that apply to all of an arm's prompts and change each of them.

    The three wrappers; and, for a prompt that holds examples or the written-out form of answers,
    the instruction alone; for one that is the instruction alone, the written-out form.
    """
    said = task.instruction.strip()
    tried = [
        Rewording(f"reworded {number}", _wrapped(said, wrapper))
        for number, wrapper in enumerate(WRAPPERS, 1)
    ]
    if tool in PROMPTS and all(map(_ends_with_the_input, prompts)):
        tried += [Rewording(SHORT, _short(task)), Rewording(LONG, _long(task))]
    if not said or not prompts:
        return []
    return [one for one in tried if all(_other(one, prompt) for prompt in prompts)]


def _other(one: Rewording, prompt: Prompt) -> bool:
    return list(one.change(prompt)) != list(prompt)


def _wrapped(said: str, wrapper: str) -> Change:
    return lambda prompt: _replaced(prompt, said, wrapper.format(said))


def _replaced(prompt: Prompt, old: str, new: str) -> list[Message]:
    """Return the prompt with its first mention of a text replaced, system turns first."""
    out = list(prompt)
    order = sorted(range(len(out)), key=lambda at: (out[at].role != "system", at))
    for at in order:
        if old and old in out[at].content:
            text = out[at].content.replace(old, new, 1)
            out[at] = out[at].model_copy(update={"content": text})
            break
    return out


def _short(task: Task) -> Change:
    """Return the change to the instruction and the input alone: no form, no examples."""

    def change(prompt: Prompt) -> list[Message]:
        head = [message for message in prompt if message.role == "system"]
        bare = _replaced([*head, prompt[-1]], specification(task), task.instruction.strip())
        return bare if any(task.instruction.strip() in m.content for m in bare) else list(prompt)

    return change


def _long(task: Task) -> Change:
    """Return the change to the written-out form, of a prompt that holds the instruction alone."""
    full, said = specification(task), task.instruction.strip()

    def change(prompt: Prompt) -> list[Message]:
        if any(full in message.content for message in prompt):
            return list(prompt)
        return _replaced(prompt, said, full)

    return change


def _ends_with_the_input(prompt: Prompt) -> bool:
    return bool(prompt) and prompt[-1].role == "user"
