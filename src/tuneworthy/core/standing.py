"""The verdict if a running study stopped now, as its live line and the lab show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tuneworthy.core.evidence import ArmResult


@dataclass(frozen=True)
class Standing:
    """What the rule would name, the score that it may leave (None: not known), and the arms."""

    use: str
    arm: str | None
    left: float | None
    arms: tuple[ArmResult, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as an event of the ledger; placebos are left out."""
        arms = [
            {
                "name": arm.name,
                "tool": arm.tool,
                "role": arm.role,
                "n": arm.n,
                "score": arm.score.plain() if arm.score else None,
                "because": str(arm.because or ""),
            }
            for arm in self.arms
            if arm.role != "placebo"
        ]
        return {"use": self.use, "arm": self.arm, "left": self.left, "arms": arms}
