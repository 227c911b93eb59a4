"""Each promise about failures names tests that exist, or says what is open."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
import _promises  # noqa: E402


def test_each_promise_has_tests_that_are_there():
    told, tests = _promises.promises(), _promises.tests_of_promises()
    assert [int(name[1:]) for name in told] == list(range(1, 33))
    for name, files in tests.items():
        assert files, f"{name} has no test: {told[name]['says']}"
        assert all((ROOT / where).is_file() for where in files), name


def test_a_test_that_carries_an_id_is_counted():
    own = "tests/faults/test_failed_calls.py"
    assert _promises.tests_of_promises()["P13"][own] >= 2


def test_the_table_replaces_what_stood_there():
    page = f"before\n{_promises.MARK}\nwhat stood there\n{_promises.MARK}\nafter"
    written = _promises.with_promises(page)
    assert "what stood there" not in written
    assert written.startswith("before")
    assert written.endswith("after")
    assert _promises.with_promises(written) == written
