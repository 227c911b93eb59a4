"""Each dependency is under a licence that lets anybody use tuneworthy, and stands on the page."""

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

sys.path.append(str(Path(__file__).parents[2] / "tools"))
import licences

FREE = re.compile(
    r"MIT|BSD|Apache|ISC|MPL|Mozilla|PSF|Python Software|Zlib|CC0|Unlicense|BSL", re.I
)
BOUND = re.compile(r"\bA?GPL|Affero|SSPL|Commons Clause|non-?commercial|proprietary", re.I)


def test_no_dependency_is_under_a_licence_that_binds():
    found = {name: licences.licence(name) for name in licences.requirements()}
    assert len(found) > 20
    wrong = {
        name: said for name, said in found.items() if BOUND.search(said) or not FREE.search(said)
    }
    assert not wrong


def test_the_page_names_what_we_require():
    """What those bring in turn changes with their releases; the licences above are of all of it."""
    page = licences.PAGE.read_text("utf-8")
    named = {
        licences.plain_name(Requirement(each).name) for each in metadata.requires("tuneworthy")
    }
    missing = [name for name in named & {*licences.requirements()} if f"| {name} |" not in page]
    assert not missing, "python tools/licences.py writes the page again"


def test_what_the_check_would_refuse():
    assert BOUND.search("GNU General Public License v3 (GPLv3)")
    assert BOUND.search("AGPL-3.0-only")
    assert not BOUND.search("LGPL-2.1-or-later")
