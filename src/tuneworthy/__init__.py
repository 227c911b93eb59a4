"""Measure on your own rows whether fine-tuning is the right tool, and report the evidence."""

from typing import TYPE_CHECKING, Any

from tuneworthy.records import __version__ as __version__

__all__ = ["RunOptions", "Study", "check", "plan", "run"]

if TYPE_CHECKING:
    from tuneworthy.flows.study import RunOptions, Study, check, plan, run


def __getattr__(name: str) -> Any:
    """Import the study functions on first use, so that `import tuneworthy` stays fast."""
    if name in __all__:
        from tuneworthy.flows import study

        return getattr(study, name)
    raise AttributeError(f"module 'tuneworthy' has no attribute {name!r}")
