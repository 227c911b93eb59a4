"""Measure on your own rows whether fine-tuning is the right tool, and say so with evidence."""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = ["Study", "Wishes", "check", "plan", "run"]

if TYPE_CHECKING:
    from tuneworthy.study import Study, Wishes, check, plan, run


def __getattr__(name: str) -> Any:
    """Import the study functions when they are used: `import tuneworthy` alone stays light."""
    if name in __all__:
        from tuneworthy import study

        return getattr(study, name)
    raise AttributeError(f"module 'tuneworthy' has no attribute {name!r}")
