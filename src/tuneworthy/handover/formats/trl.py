"""TRL's conversational files: prompt and completion as JSON lines, with tokens and epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuneworthy.handover.formats._sources import Chat, Made, TrainingChats, json_lines

NEEDS = "rows"


def write(source: TrainingChats, folder: Path) -> Made:
    """Return train.jsonl and, where dev rows are kept apart, dev.jsonl.

    Tokens are those of the whole conversation under the model's own chat template.
    """
    files = {"train.jsonl": json_lines(list(map(_line, source.train)))}
    if source.dev:
        files["dev.jsonl"] = json_lines(list(map(_line, source.dev)))
    counted = source.tokens_of(source.train)
    if isinstance(counted, str):
        return Made(files, source.summary(None, source.epochs, missing={"tokens": counted}))
    told = source.summary(sum(counted), source.epochs, longest=max(counted, default=None))
    return Made(files, told)


def _line(chat: Chat) -> dict[str, Any]:
    return {"prompt": chat.turns(), "completion": [chat.reply()]}
