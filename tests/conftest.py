"""No test counts its studies among the user's own: looks are counted per folder, the store is away.

Tests of that store set both variables themselves. `@pytest.mark.every(n)` keeps every n-th input of
a parametrized test for the project's check and leaves the others to the long tier; inputs that are
long anyway do not count.
"""

import os
import tempfile
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres_kit import database, postgres  # noqa: F401  (fixtures)

os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="tuneworthy-state-")
os.environ["TUNEWORTHY_LOOKS"] = "folder"
os.environ.pop("TUNEWORTHY_LEDGER", None)
# On a busy machine a draw of six numbers once took a second.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("busy")


def pytest_addoption(parser):
    parser.addoption("--fuzz-seed", type=int, default=20261127, help="draws other fuzz inputs")


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items):
    number = Counter()
    for item in items:
        if _twice_on_postgres(item):
            item.add_marker(pytest.mark.long)
        mark = item.get_closest_marker("every")
        if mark is None or item.get_closest_marker("long"):
            continue
        test = (item.path, item.originalname)
        if number[test] % mark.args[0]:
            item.add_marker(pytest.mark.long)
        number[test] += 1


def _twice_on_postgres(item):
    """Return whether a test on Postgres is in the full tier already on SQLite."""
    where = getattr(item, "callspec", None)
    twice = len(list(item.iter_markers("full"))) > 1
    return where is not None and where.params.get("database") == "postgres" and twice
