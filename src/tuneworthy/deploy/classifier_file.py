"""Write and open a scikit-learn classifier as a skops file: no pickle, only known types."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from tuneworthy.core.errors import ModelError, NotInstalled, SecurityError

TRUSTED_TYPES = frozenset({"scipy.sparse._csr.csr_matrix"})
"""The types in our pipelines that skops does not trust by itself."""


def save_classifier(classifier: Any, path: Path) -> None:
    """Write a fitted estimator to a skops file. Raises NotInstalled without skops."""
    _import_skops().dump(classifier, path)


def load_classifier(path: Path) -> Any:
    """Return the estimator of a skops file, after checking that every type in it is known.

    Raises SecurityError for a type that none of our classifiers has, ModelError for a damaged file
    or one that this version of scikit-learn can't read.
    """
    skops = _import_skops()
    try:
        unknown = sorted(set(skops.get_untrusted_types(file=path)) - TRUSTED_TYPES)
        if unknown:
            raise SecurityError(
                "the classifier's file holds types that we do not open",
                where=str(path),
                got=", ".join(unknown),
                fix="build it again from your rows; open no file that others made",
            )
        return skops.load(path, trusted=sorted(TRUSTED_TYPES))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadZipFile) as error:
        raise ModelError(
            "the classifier's file can't be opened",
            where=str(path),
            got=f"{type(error).__name__}: {error}",
            fix="build it again: `tuneworthy build`",
        ) from error


def _import_skops() -> Any:
    try:
        import skops.io
    except ImportError as missing:
        raise NotInstalled(
            "a classifier's file needs the extra `build`",
            got=str(missing),
            fix="pip install 'tuneworthy[build]'",
        ) from None
    return skops.io
