"""The sample input of the exported prompts: the system turn that all rows bring, then `{input}`."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.case import Case, Message, Query
from tuneworthy.core.counting import count_noun
from tuneworthy.prompting.messages import INPUT_PLACEHOLDER, common_system


def sample_query(cases: Sequence[Case]) -> Query:
    """Return a query with the placeholder `{input}`; its prompt is the exported one."""
    text = Message(role="user", content=INPUT_PLACEHOLDER)
    return Query(id="sample", messages=(*common_system(cases), text))


def differing_system(cases: Sequence[Case]) -> str:
    """Return why no single prompt has the system turn of every row, "" if one has."""
    brought = any(m.content.strip() for case in cases for m in case.messages if m.role == "system")
    return "the rows bring different system turns" if brought and not common_system(cases) else ""


def earlier_turns_note(cases: Sequence[Case]) -> str:
    """Return the note on rows with turns before the input, "" if there are none."""
    spoken = [sum(m.role != "system" for m in case.messages) for case in cases]
    if not (several := sum(count > 1 for count in spoken)):
        return ""
    return (f"{count_noun(several, 'row')} of {len(cases)} had earlier turns: put those of an input"
            " before the prompt's last message")  # fmt: skip
