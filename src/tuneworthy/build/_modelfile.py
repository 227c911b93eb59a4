"""An Ollama Modelfile: the chat template in Ollama's language, stop tokens and parameters.

Ollama's templates are Go's, so the model's own can't be copied. Ours is read off rendered
conversations and kept only if it renders several of them as the model's does, to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tuneworthy.build._parts import Parts
from tuneworthy.models.local.chat_template import conversation
from tuneworthy.models.local.render_process import Refused

Turn = tuple[str, str]
_ROLES = ("system", "user", "assistant")
_MARKS = {role: f"\ue000{role}\ue001" for role in _ROLES}
_PROBES: tuple[tuple[Turn, ...], ...] = (
    (("user", "One."),),
    (("system", "Be brief."), ("user", "One.")),
    (("user", "One."), ("assistant", "Two."), ("user", "Three, at last.")),
    (("system", "S"), ("user", "a\nb"), ("assistant", "c"), ("user", "d"), ("assistant", "e"),
     ("user", "f")),
)  # fmt: skip


class TurnTemplate(NamedTuple):
    """What stands around each role's text, at the start, without a system turn, and at the end."""

    around: dict[str, Turn]
    start: str
    without_system: str
    end: str

    def render(self, turns: Sequence[Turn]) -> str:
        """Return the conversation as Ollama would render it."""
        bare = "" if turns[0][0] == "system" else self.without_system
        body = (f"{self.around[role][0]}{text}{self.around[role][1]}" for role, text in turns)
        return self.start + bare + "".join(body) + self.end

    def go(self) -> str:
        """Return the template in Go's language."""
        bare = (
            f'{{{{ if ne (index .Messages 0).Role "system" }}}}{self.without_system}{{{{ end }}}}'
        )
        cases = "".join(
            f'{{{{ {"if" if at == 0 else "else if"} eq .Role "{role}" }}}}'
            f"{self.around[role][0]}{{{{ .Content }}}}{self.around[role][1]}"
            for at, role in enumerate(_ROLES)
        )
        return (
            f"{self.start}{bare if self.without_system else ''}"
            f"{{{{ range .Messages }}}}{cases}{{{{ end }}}}{{{{ end }}}}{self.end}"
        )


def modelfile(parts: Parts, weights: str) -> tuple[str, tuple[str, ...]]:
    """Return the Modelfile for a file of weights, and notes."""
    tokenizer, limits = parts.model.tokenizer, parts.artefact.pack.limits
    lines, notes = [f"FROM ./{weights}"], list[str]()
    template = turn_template(tokenizer)
    if template is None or '"""' in template.go():
        notes.append("its chat template can't be written in Ollama's language: Ollama takes the "
                     "one in the GGUF file where it knows it")  # fmt: skip
    else:
        lines.append(f'TEMPLATE """{template.go()}"""')
    system = [m.content for m in parts.sample if m.role == "system"]
    if system and '"""' not in system[0]:
        lines.append(f'SYSTEM """{system[0]}"""')
    for end in parts.model.ends:
        token = tokenizer.convert_ids_to_tokens(end)
        lines.append(f'PARAMETER stop "{token}"')
    lines.append("PARAMETER temperature 0")
    if limits is not None:
        lines.append(f"PARAMETER num_predict {limits.max_tokens}")
    if parts.base.context:
        lines.append(f"PARAMETER num_ctx {min(parts.base.context, 8192)}")
    return "\n".join(lines) + "\n", tuple(notes)


def turn_template(tokenizer: Any) -> TurnTemplate | None:
    """Return the template of a tokenizer turn by turn, or None if turns do not stand alone."""
    try:
        found = _read_off(tokenizer)
        same = all(found.render(probe) == conversation(tokenizer, probe) for probe in _PROBES)
    except (Refused, ValueError):
        return None
    return found if same else None


def _read_off(tokenizer: Any) -> TurnTemplate:
    s, u, a = (_MARKS[role] for role in _ROLES)
    whole = conversation(tokenizer, [("system", s), ("user", u), ("assistant", a), ("user", u)])
    bare = conversation(tokenizer, [("user", u)])
    head, rest = whole.split(s)
    _, to_answer, tail = rest.split(u)
    between = rest.split(u)[0]
    after_user, before_user = to_answer.split(a)
    # The text between two turns is the end of one and the start of the next: where it divides
    # follows from the end of the conversation, which closes a user turn and opens a reply.
    user_end = _common_prefix(after_user, tail)
    opening = tail[len(user_end) :]
    answer_start = after_user[len(user_end) :]
    user_start = _common_suffix(between, before_user)
    system_end = between.removesuffix(user_start)
    answer_end = before_user.removesuffix(user_start)
    first = bare.split(u)[0].removesuffix(user_start)
    bos = _common_prefix(head, first) if first else ""
    special = str(getattr(tokenizer, "bos_token", None) or "")
    start = special if special and head.startswith(special) and bos.startswith(special) else ""
    without = first.removeprefix(start)
    around = {
        "system": (head.removeprefix(start), system_end),
        "user": (user_start, user_end),
        "assistant": (answer_start, answer_end),
    }
    if start and start == user_start[: len(start)]:
        start, without = "", first
    return TurnTemplate(around, start, without, opening)


def _common_prefix(one: str, other: str) -> str:
    at = 0
    while at < min(len(one), len(other)) and one[at] == other[at]:
        at += 1
    return one[:at]


def _common_suffix(one: str, other: str) -> str:
    return _common_prefix(one[::-1], other[::-1])[::-1]
