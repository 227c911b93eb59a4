"""Convert a conversation to the token ids of a prompt, by the model's chat template.

The chat template writes its own first token, so none is added. A special token in a message's own
text is encoded as plain text. Knows no model.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuneworthy.models.local.thinking import TAGS, Tags, opened
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError
from tuneworthy.records.escape import quoted
from tuneworthy.sandbox.child import Child, ChildFailed, TimedOut

TEMPLATE_FILE = "chat_template.jinja"  # transformers reads it before tokenizer_config.json

_TAIL_TOKENS = 40  # tokens at a prompt's end that are searched for an opening thought tag

_PLANES = (0xF0000, 0x100000)  # private Unicode ranges, to stand for special tokens


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return the ids of the prompt, with the header that begins the reply.

    Raises ModelError without a chat template, Refused if the template rejects the conversation.
    """
    one_template(tokenizer)
    cover = _placeholders(tokenizer, "".join(m.content for m in messages))
    text = conversation(tokenizer, [(m.role, _hide(m.content, cover)) for m in messages])
    return _encode(tokenizer, text, cover)


def answer_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return the ids of the prompt up to the first token of the answer.

    If the prompt opens a thought, an empty one is closed first.
    """
    ids = prompt_ids(tokenizer, messages)
    return [*ids, *closing_ids(tokenizer, opened(tokenizer.decode(ids[-_TAIL_TOKENS:])))]


def closing_ids(tokenizer: Any, tags: Tags | None) -> list[int]:
    """Return the ids of a thought's closing tag and the gap after it, none without tags."""
    if tags is None:
        return []
    return token_ids(tokenizer, tags.end + tags.gap)


def text_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a reply's text, with special tokens encoded as plain text."""
    return token_ids(tokenizer, text, split_special_tokens=True)


def token_ids(tokenizer: Any, text: str, **options: Any) -> list[int]:
    """Return the ids of a text, to which the tokenizer adds none; `options` are the tokenizer's.

    Raises ModelError where its files make the parser panic, which is no Exception.
    """
    try:
        ids: list[int] = tokenizer(text, add_special_tokens=False, **options)["input_ids"]
        return ids
    except BaseException as error:
        if "Panic" not in type(error).__name__:
            raise
        raise ModelError(
            "the tokenizer fails on a text",
            where=str(getattr(tokenizer, "name_or_path", "")),
            got=str(error)[:200],
            fix="copy tokenizer.json of this model into the folder again",
        ) from error


def conversation(
    tokenizer: Any, turns: Sequence[tuple[str, str]], answer: str | None = None
) -> str:
    """Return the rendered text of (role, content) turns and of the model's answer, if given.

    Without an answer, the text ends where a reply begins. If the template has no system role, the
    system text goes in the first user turn. Raises Refused if the template rejects the
    conversation, or leaves part of it out.
    """
    system = turns[0][1].strip() if turns and turns[0][0] == "system" else ""
    try:
        text = _applied(tokenizer, turns, answer)
        if system in text:
            return _check_all_turns(text, turns)
    except Refused:
        if not system:
            raise
    first = turns[1][1] if len(turns) > 1 else ""
    joined = [("user", f"{turns[0][1]}\n\n{first}".strip()), *turns[2:]]
    return _check_all_turns(_applied(tokenizer, joined, answer), joined)


def _applied(tokenizer: Any, turns: Sequence[tuple[str, str]], answer: str | None) -> str:
    every = [*turns, *([] if answer is None else [("assistant", answer)])]
    template = one_template(tokenizer)
    return rendered(template, tokenizer.special_tokens_map, every, answer is None)


def _check_all_turns(text: str, turns: Sequence[tuple[str, str]]) -> str:
    """Return the text; raise Refused if a turn is not in it, whitespace aside."""
    squeezed = ""
    for role, content in turns:
        if content.strip() in text or any(tag.end in content for tag in TAGS):
            continue  # templates leave out thoughts of earlier turns by design
        squeezed = squeezed or "".join(text.split())
        if "".join(content.split()) not in squeezed:
            raise Refused(f"the chat template leaves out or changes what a {role} turn says")
    return text


def one_template(tokenizer: Any) -> str:
    """Return the chat template, the default one if the tokenizer has several.

    Raises ModelError if it has none.
    """
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise ModelError(
            "the tokenizer has no chat template, so there is no right way to ask the model",
            got=str(getattr(tokenizer, "name_or_path", "")),
            fix="choose the instruction-tuned model of this family",
        )
    return str(template)


def _specials(tokenizer: Any) -> list[str]:
    return sorted(
        {t.content for t in tokenizer.added_tokens_decoder.values() if t.special},
        key=lambda token: (-len(token), token),
    )


def _placeholders(tokenizer: Any, text: str) -> dict[str, str]:
    """Return {placeholder: special token} for the special tokens in the text."""
    tokens = [token for token in _specials(tokenizer) if token in text]
    for start in _PLANES:
        names = [chr(start + k) for k in range(len(tokens))]
        if not set(text).intersection(names):
            return dict(zip(names, tokens, strict=True))
    raise Refused("the text uses both private Unicode planes beside special tokens")


def _hide(text: str, cover: dict[str, str]) -> str:
    for name, token in cover.items():
        text = text.replace(token, name)
    return text


def _encode(tokenizer: Any, text: str, cover: dict[str, str]) -> list[int]:
    """Return the ids of a rendered text; with placeholders, encode it piece by piece."""
    whole = token_ids(tokenizer, text)
    if not any(name in text for name in cover):
        return whole
    parts = re.split("(" + "|".join(map(re.escape, _specials(tokenizer))) + ")", text)
    pieces = [(part, number % 2 == 1) for number, part in enumerate(parts) if part]
    if _ids_of_pieces(tokenizer, pieces) != whole:
        raise Refused("a special token in the text can't be kept apart from a real one")
    shown = str.maketrans(cover)
    return _ids_of_pieces(tokenizer, [(piece.translate(shown), real) for piece, real in pieces])


def _ids_of_pieces(tokenizer: Any, pieces: list[tuple[str, bool]]) -> list[int]:
    ids: list[int] = []
    for piece, real in pieces:
        ids += [tokenizer.convert_tokens_to_ids(piece)] if real else text_ids(tokenizer, piece)
    return ids


RENDER_SECONDS = 10.0  # timeout of one rendering

_CHILD_BYTES = 1 << 30  # memory limit of the child

_RENDERED_BYTES = 32_000_000  # largest rendered conversation

MAX_TIMEOUTS = 3  # timeouts of one template after which its model fails

_SOURCE = Path(__file__).with_name("render_child.py")

_timeouts: dict[str, int] = {}


class Refused(Exception):
    """A conversation can't be rendered or encoded; the message is the reason."""


def rendered(
    template: str, specials: Mapping[str, Any], turns: Sequence[tuple[str, str]], header: bool
) -> str:
    """Return the text of (role, content) turns; `header` adds the start of the model's next turn.

    Raises Refused if the template fails on this conversation or takes longer than RENDER_SECONDS,
    and ModelError once it has timed out MAX_TIMEOUTS times.
    """
    child = _child()
    try:
        text = child.call(template, dict(specials), [list(turn) for turn in turns], header)
    except TimedOut as late:
        _timeouts[template] = _timeouts.get(template, 0) + 1
        if _timeouts[template] >= MAX_TIMEOUTS:
            raise ModelError(
                "the chat template does not end",
                got=f"{MAX_TIMEOUTS} conversations took longer than {RENDER_SECONDS:g} s each",
                fix="choose another model, or repair its chat template",
            ) from late
        raise Refused(f"the chat template ran longer than {RENDER_SECONDS:g} s") from late
    except ChildFailed as failed:
        why = quoted(str(failed), 300)
        raise Refused(f"the chat template refuses the conversation: {why}") from failed
    except BaseException:
        # interrupted in mid-call: the child's pending reply would be read by the next call
        child.stop()
        raise
    if not isinstance(text, str):
        raise Refused("the chat template gives no text")
    return text


@lru_cache(1)
def _child() -> Child:
    order = {"source": _SOURCE.read_text("utf-8"), "path": str(_SOURCE), "name": "render"}
    where = Path(tempfile.gettempdir())
    return Child(
        order, folder=where, seconds=RENDER_SECONDS, memory=_CHILD_BYTES, longest=_RENDERED_BYTES
    )
