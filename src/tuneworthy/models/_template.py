"""From a conversation to the token ids that the model is asked with.

The chat template brings its own first token, so none is added. A special token that stands in a
message's own text is encoded as the text it is. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tuneworthy.core.case import Message
from tuneworthy.core.errors import ModelError

_PRIVATE = (0xF0000, 0x100000)  # two ranges no text uses: stand-ins for special tokens


class Refused(Exception):
    """This one conversation can't be asked; the text is the reason shown."""


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return the ids of the prompt, its header for the reply included.

    A template without a system role gets the system text in the first user turn. Raises
    ModelError where there is no chat template, Refused where it won't take the conversation.
    """
    if not tokenizer.chat_template:
        raise ModelError(
            "the tokenizer has no chat template, so there is no right way to ask the model",
            got=str(getattr(tokenizer, "name_or_path", "")),
            fix="choose the instruction-tuned model of this family",
        )
    cover = _cover(tokenizer, "".join(m.content for m in messages))
    text = _rendered(tokenizer, [(m.role, _hide(m.content, cover)) for m in messages])
    return _encode(tokenizer, text, cover)


def text_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a reply's text, its special tokens spelt out as text."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)[
        "input_ids"
    ]
    return ids


def _rendered(tokenizer: Any, turns: list[tuple[str, str]]) -> str:
    system = turns[0][1].strip() if turns and turns[0][0] == "system" else ""
    try:
        text = _applied(tokenizer, turns)
        if system in text:
            return text
    except Refused:
        if not system:
            raise
    first = turns[1][1] if len(turns) > 1 else ""
    return _applied(tokenizer, [("user", f"{turns[0][1]}\n\n{first}".strip()), *turns[2:]])


def _applied(tokenizer: Any, turns: list[tuple[str, str]]) -> str:
    plain = [{"role": role, "content": content} for role, content in turns]
    try:
        text: str = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # a template is a program of others: it may raise anything
        raise Refused(f"the chat template refuses the conversation: {error}") from error
    return text


def _specials(tokenizer: Any) -> list[str]:
    return sorted(
        {t.content for t in tokenizer.added_tokens_decoder.values() if t.special},
        key=lambda token: (-len(token), token),
    )


def _cover(tokenizer: Any, text: str) -> dict[str, str]:
    """Return stand-in -> special token, for the special tokens that stand in the text."""
    found = [token for token in _specials(tokenizer) if token in text]
    for start in _PRIVATE:
        names = [chr(start + k) for k in range(len(found))]
        if not set(text).intersection(names):
            return dict(zip(names, found, strict=True))
    raise Refused("the text uses both private Unicode planes beside special tokens")


def _hide(text: str, cover: dict[str, str]) -> str:
    for name, token in cover.items():
        text = text.replace(token, name)
    return text


def _encode(tokenizer: Any, text: str, cover: dict[str, str]) -> list[int]:
    """Return the ids of a rendered text; with covered tokens, of its pieces one by one."""
    whole: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not any(name in text for name in cover):
        return whole
    parts = re.split("(" + "|".join(map(re.escape, _specials(tokenizer))) + ")", text)
    pieces = [(part, number % 2 == 1) for number, part in enumerate(parts) if part]
    if _joined(tokenizer, pieces) != whole:
        raise Refused("a special token in the text can't be kept apart from a real one")
    shown = str.maketrans(cover)
    return _joined(tokenizer, [(piece.translate(shown), real) for piece, real in pieces])


def _joined(tokenizer: Any, pieces: list[tuple[str, bool]]) -> list[int]:
    ids: list[int] = []
    for piece, real in pieces:
        ids += [tokenizer.convert_tokens_to_ids(piece)] if real else text_ids(tokenizer, piece)
    return ids
