"""Hooks of the site (`mkdocs.yml`): start page, links out of docs/, copies in Markdown, the lab."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from tuneworthy.lab.export import export_site

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:|mailto:|#)[^)\s#]+)(#[^)\s]*)?\)")
START_SECTIONS = ("Your own rows", "What it measures")
HEAD = "---\nhide: [navigation]\n---\n\n"
NEXT = """
## Where to go next

- [How-to](how-to/README.md): a task file, models behind an endpoint, open answers, a GPU
- [Why](why/README.md): the rule that names an arm, how a cause is found, the nine questions
- [Evidence](evidence/README.md): what was measured, how often the bounds and causes are right
- [Reference](reference/README.md): commands, task.yaml, verdict.json, exit codes, Python
- [llms.txt](llms.txt): the same for a coding agent
"""
# Raw HTML: the lab is written after the pages, so their links are checked without it.
LAB = """
<p><a class="md-button md-button--primary" href="lab/index.html">Play the recorded lab</a></p>

Real training runs with one fault each: watch, name the cause, prove it, repair it.
The pages are files: no server, no request.
"""


def on_config(config: Any) -> Any:
    """Return the configuration; a pattern in its navigation becomes the pages not listed."""
    config.nav = _expanded(config.nav, set(_leaves(config.nav)))
    return config


def _leaves(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
        return
    for inner in part.values() if isinstance(part, dict) else part:
        yield from _leaves(inner)


def _expanded(part: Any, listed: set[str]) -> Any:
    if isinstance(part, dict):
        return {title: _expanded(inner, listed) for title, inner in part.items()}
    if isinstance(part, list):
        return [page for one in part for page in _pages(one, listed)]
    return part


def _pages(one: Any, listed: set[str]) -> list[Any]:
    if not isinstance(one, str) or "*" not in one:
        return [_expanded(one, listed)]
    found = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob(one))
    return [name for name in found if name not in listed]


def on_files(files: Files, config: Any) -> Files:
    """Return the files of the site with the start page, which is made from the README."""
    files.append(File.generated(config, "index.md", content=start_page()))
    return files


def start_page() -> str:
    """Return the start page: the README's introduction, some of its sections, links."""
    text = (ROOT / "README.md").read_text("utf-8")
    intro, *sections = re.split(r"^## ", text, flags=re.M)
    chosen = [s for s in sections if s.partition("\n")[0] in START_SECTIONS]
    page = "".join([HEAD, intro, *(f"## {section}" for section in chosen)])
    page = re.sub(r'((?:src|srcset)=")docs/', r"\1", page)
    return LINK.sub(lambda link: _rebased(link, ROOT, DOCS), page) + NEXT + LAB


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page's text where a link to a file outside docs/ is the path of that file."""
    folder = (DOCS / page.file.src_uri).parent
    return LINK.sub(lambda link: _rebased(link, folder, folder), markdown)


def _rebased(link: re.Match[str], old: Path, new: Path) -> str:
    """Return a link for a page in `new` that was written for one in `old`.

    A folder leads to its README. A file outside docs/ is not on the site: its path is named.
    """
    title, target, anchor = link[1], link[2], link[3] or ""
    path = Path(os.path.normpath(old / target))
    if not path.exists() and path != DOCS / "index.md":
        raise PluginError(f"dead link: {target} in {old}")
    if path.is_dir() and (path / "README.md").exists():
        path /= "README.md"
    if not path.is_relative_to(DOCS) and path != DOCS / "index.md":
        name = path.relative_to(ROOT).as_posix()
        return f"`{name}`" if title.strip("`/") == name.strip("/") else f"{title} (`{name}`)"
    return f"[{title}]({os.path.relpath(path, new)}{anchor})"


def on_post_build(config: Any) -> None:
    """Write the recorded lab, and the Markdown of every page for programs that read llms.txt."""
    export_site(Path(config.site_dir) / "lab")
    for path in DOCS.rglob("*.md"):
        target = Path(config.site_dir) / path.relative_to(DOCS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text("utf-8"), "utf-8")
