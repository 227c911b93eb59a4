"""Write the chat template under which a model was measured beside its exported weights.

An opened model's template has its thinking switch set. The base's own template leaves the switch to
each request, so that an engine would render other prompts than those that were measured.
"""

from __future__ import annotations

from pathlib import Path

from tuneworthy.build._parts import Parts
from tuneworthy.models.local.chat_template import TEMPLATE_FILE, one_template


def write_template(parts: Parts, folder: Path) -> tuple[str, ...]:
    """Write the template if it can turn thinking on or off; return a note on that."""
    thinking = getattr(parts.model, "thinking", None)
    if thinking is None or thinking.state in ("none", "maybe"):
        return ()
    (folder / TEMPLATE_FILE).write_text(one_template(parts.model.tokenizer), "utf-8")
    state = "on" if thinking.thinks else "off"
    return (f"its chat template has thinking {state}, as measured",)
