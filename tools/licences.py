"""usage: licences.py: write docs/reference/licences.md, the licences of all that an install brings.

Read from the metadata of the distributions that are installed here, extras included.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "licences.md"
EXTRAS = ("train", "build", "serve", "lab", "agents")
HEAD = """# Licences

tuneworthy is under Apache-2.0. Installed with the extras train, build, serve, lab and agents, it
brings these distributions, each under the licence that its metadata names (Python 3.11, Linux;
written by `tools/licences.py`; what a later release of one of them requires is not listed). A test
refuses a dependency whose licence binds its users.

| distribution | licence |
|---|---|
"""


def plain_name(name: str) -> str:
    """Return a distribution's name as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(extras: tuple[str, ...] = EXTRAS) -> list[str]:
    """Return the names of all installed distributions that tuneworthy with `extras` requires."""
    found: dict[str, frozenset[str]] = {}
    waiting = [("tuneworthy", frozenset(extras))]
    while waiting:
        name, wanted = plain_name(waiting[-1][0]), waiting.pop()[1]
        if wanted <= found.get(name, frozenset({"-"})) and name in found:
            continue
        try:
            needs = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        found[name] = found.get(name, frozenset()) | wanted
        for need in map(Requirement, needs):
            marks = [{"extra": extra} for extra in found[name] | {""}]
            if need.marker is None or any(need.marker.evaluate(mark) for mark in marks):
                waiting.append((need.name, frozenset(need.extras)))
    return sorted(set(found) - {"tuneworthy"})


def licence(name: str) -> str:
    """Return what the metadata of an installed distribution says of its licence, "" for nothing."""
    told = metadata.metadata(name).json
    named = told.get("classifier") or []
    classes = [
        each.split(" :: ")[-1]
        for each in named
        if each.startswith("License :: ") and not each.endswith("OSI Approved")
    ]
    text = str(told.get("license") or "").strip().splitlines()
    if not text and not classes:  # the first line of its licence file
        files = [path for path in metadata.files(name) or () if path.name.startswith("LICENSE")]
        text = files[0].read_text("utf-8").strip().splitlines() if files else []
    return (
        str(told.get("license_expression") or "") or "; ".join(classes) or (text[0] if text else "")
    )


def page() -> str:
    """Return the page."""
    return HEAD + "".join(f"| {name} | {licence(name)} |\n" for name in requirements())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"wrote {PAGE}")
