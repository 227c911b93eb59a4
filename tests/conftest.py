"""No test sees what lies on the machine: looks are counted per folder, store and cache are away.

Tests of that store set both variables themselves. The cache of the full and long tiers holds the
models that `./run test` fetched and nothing else; that of every quick test is empty.
`@pytest.mark.every(n)` keeps every n-th input of a parametrized test for the project's check and
leaves the others to the long tier; inputs that are long anyway do not count.
"""

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tuneworthy.models.local.weights import cache_folder

os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="tuneworthy-state-")
os.environ["TUNEWORTHY_LOOKS"] = "folder"
os.environ.pop("TUNEWORTHY_LEDGER", None)
MODELS = cache_folder() / "models"
CACHE = Path(tempfile.mkdtemp(prefix="tuneworthy-cache-"))
if MODELS.is_dir():
    (CACHE / "models").symlink_to(MODELS.resolve())
os.environ["TUNEWORTHY_CACHE"] = str(CACHE)
os.environ["HF_HUB_OFFLINE"] = "1"  # a study fetches what is not there
# On a busy machine a draw of six numbers once took a second.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("busy")


@pytest.fixture(autouse=True)
def _cache_of_a_quick_test(request, monkeypatch):
    if not any(map(request.node.get_closest_marker, ("full", "long"))):
        monkeypatch.setenv("TUNEWORTHY_CACHE", str(CACHE / "empty" / f"{id(request.node)}"))


@pytest.fixture(autouse=True)
def _no_endpoint_of_another_test(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def pytest_addoption(parser):
    parser.addoption("--fuzz-seed", type=int, default=20261127, help="draws other fuzz inputs")


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items):
    number = Counter()
    for item in items:
        mark = item.get_closest_marker("every")
        if mark is None or item.get_closest_marker("long"):
            continue
        test = (item.path, item.originalname)
        if number[test] % mark.args[0]:
            item.add_marker(pytest.mark.long)
        number[test] += 1


def pytest_terminal_summary(terminalreporter):
    """Append a line a skipped test and a line a failed test to the files of `./run test`."""
    folder = os.environ.get("TUNEWORTHY_TOLD")
    if not folder or hasattr(terminalreporter.config, "workerinput"):
        return
    stats = terminalreporter.stats
    with open(f"{folder}/skipped", "a") as file:
        for report in stats.get("skipped", []):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            file.write(f"{report.nodeid.partition('::')[0]}: {reason}\n")
    with open(f"{folder}/failed", "a") as file:
        for report in (*stats.get("failed", []), *stats.get("error", [])):
            crash = getattr(report.longrepr, "reprcrash", None)
            said = crash.message.splitlines()[0] if crash and crash.message else ""
            file.write(f"  {report.nodeid}  {said[:120]}\n")
