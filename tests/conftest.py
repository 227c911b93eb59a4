"""No test counts its studies among the user's own: looks are counted per folder, the store is away.

Tests of that store set both variables themselves.
"""

import os
import tempfile

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
