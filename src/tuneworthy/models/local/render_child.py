"""Render a chat template as transformers does, in a child process, because a template is a program.

The child (sandbox/_worker.py) loads this file alone, by path, so it imports nothing of tuneworthy.
The child is killed if a template loops for ever or fills the memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

_CACHED_TEMPLATES = 8  # compiled templates that are cached
# Some templates write today's date into every prompt, so the prompt behind a cache key would change
# daily. This fixed date is the fallback of Llama 3.2's own template.
TODAY = datetime(2024, 7, 26)
_COMPILED: dict[str, Any] = {}


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}`, which marks the model's text; renders its content."""

    tags: set[str] = {"generation"}  # noqa: RUF012  as its base class has it

    def parse(self, parser: Any) -> Any:
        """Parse a block; its nodes render the block's content unchanged, in its own scope."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        called = self.call_method("_content", [], [])
        return nodes.CallBlock(called, [], [], body).set_lineno(line)

    def _content(self, caller: Any) -> str:
        return str(caller())


class _Dict:
    """`dict(...)` in a template, without the attributes of the type."""

    def __call__(self, *pairs: Any, **more: Any) -> dict[Any, Any]:
        return dict(*pairs, **more)

    def fromkeys(self, *given: Any) -> dict[Any, Any]:
        """Return a dict of the keys, as `dict.fromkeys` does."""
        return dict.fromkeys(*given)


class _Namespace(Namespace):
    """`namespace(...)` in a template, without names that begin with an underscore."""

    def __init__(*given: Any, **more: Any) -> None:
        self, *rest = given  # a template may write namespace(self=...)
        attributes = dict(*rest, **more)
        for name in attributes:
            _plain_name(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _plain_name(name)
        super().__setitem__(name, value)


def _plain_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a template may not keep {name!r} in a namespace")


def _raise(message: Any) -> NoReturn:
    raise TemplateError(str(message))


def _json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _environment() -> Any:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _json
    environment.globals |= {
        "raise_exception": _raise,
        "strftime_now": TODAY.strftime,
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return environment


def render(
    template: str,
    specials: Mapping[str, str],
    turns: Sequence[Sequence[str]],
    header: bool,
) -> str:
    """Return the text of (role, content) turns, rendered by a chat template.

    `specials` are the tokenizer's special tokens by name; `header` appends the start of the model's
    next turn.
    """
    compiled = _COMPILED.get(template)
    if compiled is None:
        if len(_COMPILED) >= _CACHED_TEMPLATES:
            _COMPILED.clear()
        compiled = _COMPILED[template] = _environment().from_string(template)
    messages = [{"role": role, "content": content} for role, content in turns]
    given = {"messages": messages, "tools": None, "documents": None}
    text: str = compiled.render(**{**specials, **given, "add_generation_prompt": header})
    return text
