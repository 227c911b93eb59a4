"""General rows that are trained on among a task's rows, so that training forgets less.

The rows are the base model's own greedy answers to shipped requests (`prompting/general_prompts`):
what the model says already, in its own words. There is nothing to license or download, and the harm
check's texts, which are other texts, stay unseen. Sources, read on 2026-11-28: a model's own texts
serve as replay in place of its training data (arXiv 2605.26097), and small shares are worth their
cost (arXiv 2508.01908). docs/decisions/019-full-tuning-and-options-of-training.md has the choice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.core.arm import Setup
from tuneworthy.core.case import Message
from tuneworthy.core.model import Limits
from tuneworthy.core.record import digest
from tuneworthy.prompting.general_prompts import general_prompts

REPLY_LIMITS = Limits(max_tokens=96)
_AT_ONCE = 32  # requests at least, to fill a batch
Answered = list[tuple[str, str | None]]


def replayed(share: float, rows: int) -> int:
    """Return how many general rows make up this share of all rows together; at least 1."""
    return max(1, round(share * rows / (1 - share))) if share else 0


def replay_rows(setup: Setup, model: Any, count: int) -> list[tuple[str, tuple[Message, ...], str]]:
    """Return up to `count` general rows as (id, prompt, answer), the same for every seed.

    They are written once per base, in the folder that all units share. A request whose answer was
    cut by the token limit, or is empty, is left out: training on it would teach to break off.
    """
    if not count:
        return []
    folder = (setup.common or setup.folder) / "replay"
    made_by = {
        "model": dict(model.fingerprint),
        "prompts": general_prompts(),
        "at": REPLY_LIMITS.plain(),
    }
    file = folder / f"{digest(made_by)}.json"
    answered = _stored(file)
    while _usable(answered) < count and len(answered) < len(general_prompts()):
        missing = count - _usable(answered)
        upcoming = general_prompts()[len(answered) :][: max(_AT_ONCE, missing)]
        setup.say(f"{len(upcoming)} general requests answered by the base, to be replayed")
        answered += _answers(model.reply, upcoming)
        _store(file, answered)
    good = [(text, answer) for text, answer in answered if answer is not None][:count]
    return [(f"replay {n}", _prompt(text), answer) for n, (text, answer) in enumerate(good, 1)]


def _prompt(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def _usable(answered: Answered) -> int:
    return sum(answer is not None for _, answer in answered)


def _answers(reply: Callable[..., Sequence[Any]], texts: Sequence[str]) -> Answered:
    replies = reply([_prompt(text) for text in texts], REPLY_LIMITS)
    return [
        (text, r.text if r.finish == "stop" and r.text.strip() else None)
        for text, r in zip(texts, replies, strict=True)
    ]


def _stored(file: Path) -> Answered:
    """Return the requests answered so far; none if the file is missing or damaged."""
    try:
        rows = json.loads(file.read_text("utf-8"))["rows"]
        texts = [(str(text), None if answer is None else str(answer)) for text, answer in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    ours = [text for text, _ in texts] == list(general_prompts()[: len(texts)])
    return texts if ours else []


def _store(file: Path, answered: Answered) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"rows": answered}, ensure_ascii=False), "utf-8")
    os.replace(draft, file)
