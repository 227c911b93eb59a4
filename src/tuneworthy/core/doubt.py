"""The record of a gold answer that may be wrong, with the reason."""

from __future__ import annotations

from typing import Literal

from tuneworthy.core.record import Record

DoubtReason = Literal["conflict", "neighbours", "consensus"]


class LabelDoubt(Record):
    """One reason to check a case's label; a case may have several.

    `conflict`: the same input has another answer elsewhere. `neighbours`: at least 4 of the 5
    nearest inputs share one other label. `consensus`: the arms that pass most cases agree on
    another answer. `why` says it in a sentence for the user.
    """

    case: str
    ground: DoubtReason
    why: str
