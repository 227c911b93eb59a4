"""No test counts its studies among the user's own: looks are counted per folder, the store is away.

Tests of that store set both variables themselves. `@pytest.mark.every(n)` keeps every n-th input of
a parametrized test for the project's check and leaves the others to the long tier.
"""

import os
import tempfile
from collections import Counter

import pytest

from tests.postgres_kit import database, postgres  # noqa: F401  (fixtures)

os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="tuneworthy-state-")
os.environ["TUNEWORTHY_LOOKS"] = "folder"
os.environ.pop("TUNEWORTHY_LEDGER", None)


def pytest_collection_modifyitems(items):
    """Leave to the long tier on Postgres what is in the full tier already on SQLite."""
    for item in items:
        where = getattr(item, "callspec", None)
        twice = len(list(item.iter_markers("full"))) > 1
        if where is not None and where.params.get("database") == "postgres" and twice:
            item.add_marker("long")


def pytest_addoption(parser):
    parser.addoption("--fuzz-seed", type=int, default=20261127, help="draws other fuzz inputs")


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items):
    number = Counter()
    for item in items:
        if (mark := item.get_closest_marker("every")) is None:
            continue
        test = (item.path, item.originalname)
        if number[test] % mark.args[0]:
            item.add_marker(pytest.mark.long)
        number[test] += 1
