"""A model whose answers come from a function, without weights, for tests, docs and dry runs.

`scripted:echo` repeats the last user turn, `scripted:noisy` drops some of its words,
`scripted:./replies.jsonl` answers from rows {"when": part of the prompt, "say": answer}.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tuneworthy.models._reply_cache import Cached
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.model import Limits, Prompt, Reply
from tuneworthy.records.record import canonical, plain_file

_Respond = Callable[[Prompt, Limits], str]


class Scripted(Cached):
    """A model that answers what `respond` returns. Tokens are words; no time is measured.

    An answer of more than `max_tokens` words is cut, with finish `length`; an exception in
    `respond` becomes the row's error.
    """

    def __init__(self, spec: str, respond: _Respond, version: str = "1") -> None:
        self.spec, self.respond = spec, respond
        self.fingerprint = {"engine": "scripted", "script": spec, "version": version}
        self.context: int | None = None

    def reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        """Return one reply for each prompt, in order."""
        return self._cached_replies(prompts, limits, self._reply)

    def _reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[Reply]:
        return [self._reply_to(prompt, limits) for prompt in prompts]

    def count_tokens(self, prompt: Prompt) -> int:
        """Return the number of words of the conversation."""
        return sum(len(message.content.split()) for message in prompt)

    def _reply_to(self, prompt: Prompt, limits: Limits) -> Reply:
        try:
            text = self.respond(prompt, limits)
        except Exception as error:  # a script is foreign code
            return Reply(text="", finish="error", error=f"{type(error).__name__}: {error}")
        words = text.split()
        cut = len(words) > limits.max_tokens
        return Reply(
            text=" ".join(words[: limits.max_tokens]) if cut else text,
            tokens_in=self.count_tokens(prompt),
            tokens_out=min(len(words), limits.max_tokens),
            finish="length" if cut else "stop",
        )


def open_scripted(name: str, folder: Path) -> Scripted:
    """Return the scripted model `name`: one of `_BUILT_IN`, or a file of replies in `folder`.

    Raises TaskError for an unknown name, DataError for a file that can't be read.
    """
    if name.endswith(".jsonl"):
        text = _read_text(folder / name)
        return Scripted(
            f"scripted:{name}", _responder_of(text, name), hashlib.sha256(text.encode()).hexdigest()
        )
    if name not in _BUILT_IN:
        raise TaskError(
            "no scripted model has this name",
            got=name,
            fix=f"there are: {', '.join(sorted(_BUILT_IN))}, or a file ./replies.jsonl",
        )
    return Scripted(f"scripted:{name}", _BUILT_IN[name])


def last_user(prompt: Prompt) -> str:
    """Return the text of the prompt's last user turn, "" if there is none."""
    return next((m.content for m in reversed(prompt) if m.role == "user"), "")


def _echo(prompt: Prompt, limits: Limits) -> str:  # noqa: ARG001
    return last_user(prompt)


def _noisy(prompt: Prompt, limits: Limits) -> str:
    """Return the last user turn without about a fifth of its words, drawn by prompt and seed."""
    messages = canonical([m.plain() for m in prompt])
    draw = random.Random(f"{limits.seed} {limits.sample} {messages}")
    return " ".join(word for word in last_user(prompt).split() if draw.random() > 0.2)


def _empty(prompt: Prompt, limits: Limits) -> str:  # noqa: ARG001
    return ""


_BUILT_IN: dict[str, _Respond] = {"echo": _echo, "noisy": _noisy, "empty": _empty}


def _read_text(path: Path) -> str:
    try:
        return plain_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("the replies can't be read", where=str(path), got=str(error),
                        fix="write the file as JSON lines in UTF-8") from error  # fmt: skip


def _responder_of(text: str, name: str) -> _Respond:
    rows: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append((str(row["when"]), str(row["say"])))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                'a reply is {"when": part of the prompt, "say": answer}',
                where=f"{name}:{number}",
                got=line,
                fix="correct the line",
            ) from error

    def respond(prompt: Prompt, limits: Limits) -> str:  # noqa: ARG001
        text = "\n".join(message.content for message in prompt)
        fits = [(when, say) for when, say in rows if when in text]
        if not fits:
            raise LookupError("no reply fits this prompt")
        return max(fits, key=lambda row: len(row[0]))[1]

    return respond
