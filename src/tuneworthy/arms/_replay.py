"""Make general rows that are mixed into a task's training rows, so that less is forgotten.

The rows are the base model's own greedy answers to shipped requests (`arms/prompt/wordings.py`):
texts that the model writes already. There is nothing to license or download, and the harm check's
texts, which are other texts, stay unseen. Sources, read on 2026-11-28: a model's own texts serve as
replay in place of its training data (arXiv 2605.26097), and small shares are worth their cost
(arXiv 2508.01908). docs/decisions/019-full-tuning-and-options-of-training.md has the choice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.arms.prompt.wordings import general_prompts
from tuneworthy.records.arm import Setup
from tuneworthy.records.case import Message
from tuneworthy.records.model import Limits
from tuneworthy.records.record import digest

REPLY_LIMITS = Limits(max_tokens=96)
_BATCH_REQUESTS = 32  # requests at least, to fill a batch
Answered = list[tuple[str, str | None]]


def replay_count(share: float, rows: int) -> int:
    """Return how many general rows make up this share of all rows; at least 1, 0 for share 0."""
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
    answered = _load_answers(file)
    while _count_answered(answered) < count and len(answered) < len(general_prompts()):
        missing = count - _count_answered(answered)
        upcoming = general_prompts()[len(answered) :][: max(_BATCH_REQUESTS, missing)]
        setup.say(f"{len(upcoming)} general requests answered by the base, to be replayed")
        answered += _answer_requests(model.reply, upcoming)
        _save_answers(file, answered)
    good = [(text, answer) for text, answer in answered if answer is not None][:count]
    return [(f"replay {n}", _user_turn(text), answer) for n, (text, answer) in enumerate(good, 1)]


def _user_turn(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def _count_answered(answered: Answered) -> int:
    return sum(answer is not None for _, answer in answered)


def _answer_requests(reply: Callable[..., Sequence[Any]], texts: Sequence[str]) -> Answered:
    replies = reply([_user_turn(text) for text in texts], REPLY_LIMITS)
    return [
        (text, r.text if r.finish == "stop" and r.text.strip() else None)
        for text, r in zip(texts, replies, strict=True)
    ]


def _load_answers(file: Path) -> Answered:
    """Return the (request, answer) pairs stored so far; [] if the file is missing or damaged."""
    try:
        rows = json.loads(file.read_text("utf-8"))["rows"]
        texts = [(str(text), None if answer is None else str(answer)) for text, answer in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    ours = [text for text, _ in texts] == list(general_prompts()[: len(texts)])
    return texts if ours else []


def _save_answers(file: Path, answered: Answered) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"rows": answered}, ensure_ascii=False), "utf-8")
    os.replace(draft, file)
