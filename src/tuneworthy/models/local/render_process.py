"""Render chat templates in a child process, with limits of time, memory and output size.

A template comes with a model and is a program. One that loops or multiplies strings fails its row,
and after a few such rows the model, but never the study. Knows no tokenizer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuneworthy.core.errors import ModelError
from tuneworthy.core.escape import quoted
from tuneworthy.sandbox.child import Child, ChildFailed, TimedOut

RENDER_SECONDS = 10.0  # timeout of one rendering
CHILD_BYTES = 1 << 30  # memory limit of the child
RENDERED_BYTES = 32_000_000  # largest rendered conversation
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
        order, folder=where, seconds=RENDER_SECONDS, memory=CHILD_BYTES, longest=RENDERED_BYTES
    )
