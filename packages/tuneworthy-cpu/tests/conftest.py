"""These tests lie in the clone of the product, and take its models and fixtures.

They fail, and are not skipped, where the package is not installed.
"""

import sys
from pathlib import Path

from tuneworthy.models.local import cpu_engine

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit" / "models")]
pytest_plugins = ["tests.conftest", "tests.unit.models.train.conftest"]
assert cpu_engine.installed(), "install it first: pip install -e packages/tuneworthy-cpu"
