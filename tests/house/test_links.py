"""No link is dead; the site builds in strict mode and loads nothing from outside."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    ROOT / "docs" / "llms.txt",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
needs_mkdocs = pytest.mark.skipif(find_spec("material") is None, reason="needs the extra `docs`")


def anchors(text):
    """Return the anchors of a page's headings, as GitHub and mkdocs name them."""
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def dead(page, text):
    """Yield every relative link of a page that leads to no file or no heading."""
    plain = re.sub(r"```.*?```", "", text, flags=re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", plain) + re.findall(r'(?:src|srcset)="([^"]+)"', plain)
    for link in links:
        target, _, anchor = link.partition("#")
        if re.match(r"https?:|mailto:", link):
            continue
        path = (page.parent / target) if target else page
        if not path.exists() or (anchor and anchor not in anchors(path.read_text("utf-8"))):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page):
    assert list(dead(page, page.read_text("utf-8"))) == []


def test_a_dead_link_is_found():
    text = "[a](nowhere.md) [b](why/looks.md) [c](why/looks.md#nowhere) [d](https://example.org)"
    assert list(dead(ROOT / "docs" / "x.md", text)) == ["nowhere.md", "why/looks.md#nowhere"]


class Loaded(HTMLParser):
    """Collect what a page loads: scripts, styles, pictures, frames."""

    def __init__(self):
        super().__init__()
        self.urls = []

    def handle_starttag(self, tag, attrs):
        names = {"src", "srcset"} | ({"href"} if tag == "link" else set())
        self.urls += [value or "" for name, value in attrs if name in names]


def loaded(page):
    parser = Loaded()
    parser.feed(page.read_text("utf-8"))
    return parser.urls


def build(folder, target):  # with --quiet, strict mode counts no warning
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(target)],
        cwd=folder, capture_output=True, text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip


@needs_mkdocs
def test_the_site_builds_and_loads_nothing_from_outside(tmp_path):
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))  # the start page and 404.html too
    outside = {url for page in pages for url in loaded(page) if re.match(r"(https?:)?//", url)}
    assert outside == set()
    styles = (tmp_path / "site").rglob("*.css")
    assert not [style for style in styles if re.search(r"url\(['\"]?http", style.read_text())]
    assert (tmp_path / "site" / "llms.txt").exists()
    assert (tmp_path / "site" / "why" / "looks.md").exists()


@needs_mkdocs
@pytest.mark.parametrize("link", ["nowhere.md", "../../nowhere.py", "looks.md#nowhere"])
def test_a_dead_link_fails_the_build(tmp_path, link):
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("docs", "tools"):
        shutil.copytree(ROOT / name, folder / name)
    for path in ROOT.iterdir():
        if path.name not in ("docs", "tools", "site", "mkdocs.yml", ".git"):
            (folder / path.name).symlink_to(path)
    shutil.copy(ROOT / "mkdocs.yml", folder)
    page = folder / "docs" / "why" / "harm.md"
    page.write_text(page.read_text("utf-8") + f"\n[dead]({link})\n", "utf-8")
    done = build(folder, tmp_path / "site")
    assert done.returncode != 0
    assert re.search(rf"(contains a link|dead link:?) '?{re.escape(link)}", done.stderr)
