"""Write and open a scikit-learn classifier as a skops file: no pickle, only known types."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

from tuneworthy.core.errors import ModelError, NotInstalled, SecurityError

_SCHEMA = "schema.json"
_PLACE = re.compile(r'("__id__": |"file": "|"_stop_words_id": \{[^{}]*"content": ")(\d+)')
_MOST_PARTS, _MOST_BYTES = 10_000, 2_000_000_000  # unpacked; a feature takes about 430 bytes
TRUSTED_TYPES = frozenset({"scipy.sparse._csr.csr_matrix"})
"""The types in our pipelines that skops does not trust by itself."""


def save_classifier(classifier: Any, path: Path) -> None:
    """Write a fitted estimator to a skops file. Raises NotInstalled without skops.

    skops names parts by their place in memory; here they are numbered, so that the same estimator
    gives the same bytes.
    """
    whole = io.BytesIO(_import_skops().dumps(classifier))
    numbers: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return found[1] + numbers.setdefault(found[2], str(len(numbers)))

    with zipfile.ZipFile(whole) as made, zipfile.ZipFile(path, "w") as out:
        text = made.read(_SCHEMA).decode("utf-8")
        out.writestr(zipfile.ZipInfo(_SCHEMA), _PLACE.sub(numbered, text))
        members = (name for name in made.namelist() if name != _SCHEMA)
        names = {name: numbers[name.split(".")[0]] + Path(name).suffix for name in members}
        for name in sorted(names, key=lambda one: int(numbers[one.split(".")[0]])):
            out.writestr(zipfile.ZipInfo(names[name]), made.read(name))


def load_classifier(path: Path) -> Any:
    """Return the estimator of a skops file, after checking that every type in it is known.

    Raises SecurityError for a type that none of our classifiers has, ModelError for a damaged file,
    one that unpacks to more than a limit, or one that this version of scikit-learn can't read.
    """
    skops = _import_skops()
    try:
        _check_sizes(path)
        unknown = sorted(set(skops.get_untrusted_types(file=path)) - TRUSTED_TYPES)
        if unknown:
            raise SecurityError(
                "the classifier's file holds types that we do not open",
                where=str(path),
                got=", ".join(unknown),
                fix="build it again from your rows; open no file that others made",
            )
        return skops.load(path, trusted=sorted(TRUSTED_TYPES))
    except SecurityError:
        raise
    except Exception as error:  # a damaged file may make skops and numpy raise anything
        raise ModelError(
            "the classifier's file can't be opened",
            where=str(path),
            got=f"{type(error).__name__}: {error}",
            fix="build it again: `tuneworthy build`",
        ) from error


def _check_sizes(path: Path) -> None:
    """Raise ValueError for a file whose parts are too many, or too large unpacked."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    whole = sum(part.file_size for part in parts)
    if len(parts) > _MOST_PARTS or whole > _MOST_BYTES:
        raise ValueError(
            f"{len(parts):,} parts, {whole:,} bytes unpacked: more than a classifier's"
        )


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
