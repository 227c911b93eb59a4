"""Write and open a scikit-learn classifier as a skops file: no pickle, only known types."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from tuneworthy.core.errors import ModelError, NotInstalled, SecurityError

TRUSTED = frozenset({"scipy.sparse._csr.csr_matrix"})
"""Types in our pipelines beyond those that skops trusts by itself: arrays and estimators."""


def save_classifier(classifier: Any, path: Path) -> None:
    """Write a fitted estimator. Raises NotInstalled without skops."""
    _skops().dump(classifier, path)


def load_classifier(path: Path) -> Any:
    """Return the estimator in a file, with every type in it checked before it is built.

    Raises SecurityError for a type that none of our classifiers has, ModelError for a damaged file
    or another version of scikit-learn that can't read it.
    """
    skops = _skops()
    try:
        unknown = sorted(set(skops.get_untrusted_types(file=path)) - TRUSTED)
        if unknown:
            raise SecurityError(
                "the classifier's file holds types that we do not open",
                where=str(path),
                got=", ".join(unknown),
                fix="build it again from your rows; open no file that others made",
            )
        return skops.load(path, trusted=sorted(TRUSTED))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadZipFile) as error:
        raise ModelError(
            "the classifier's file can't be opened",
            where=str(path),
            got=f"{type(error).__name__}: {error}",
            fix="build it again: `tuneworthy build`",
        ) from error


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as missing:
        raise NotInstalled(
            "a classifier's file needs the extra `build`",
            got=str(missing),
            fix="pip install 'tuneworthy[build]'",
        ) from None
    return skops.io
