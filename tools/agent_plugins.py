"""Write the plugins of coding agents from one skill: `python tools/agent_plugins.py`.

The source is skills/tuneworthy/SKILL.md, beside name, version and licence of pyproject.toml.
A test says if a written file is stale.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from tuneworthy.agents.project_files import LINES, cursor_rule

ROOT = Path(__file__).parents[1]
SKILL = ROOT / "skills/tuneworthy/SKILL.md"
PLUGIN = "plugins/tuneworthy"
SERVER = {"command": "uvx", "args": ["--from", "tuneworthy[agents]", "tuneworthy", "mcp", "."]}


def files() -> dict[str, str]:
    """Return {path below the repository: text} of all files of the plugins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    skill, about = SKILL.read_text("utf-8"), project["description"]
    common = {"name": name, "version": version, "description": about}
    author = {"name": "the tuneworthy authors"}
    servers = {"mcpServers": {name: SERVER}}
    found = {"name": name, "description": about, "source": f"./{PLUGIN}"}
    return {
        ".claude-plugin/marketplace.json": _json(
            {"name": name, "description": about, "owner": author,
             "plugins": [{**found, "version": version}]}
        ),
        f"{PLUGIN}/.claude-plugin/plugin.json": _json(
            {**common, "author": author, "license": project["license"]}
        ),
        f"{PLUGIN}/.codex-plugin/plugin.json": _json(
            {**common, "author": author, "license": project["license"],
             "skills": "./skills/", "mcpServers": "./.mcp.json"}
        ),
        f"{PLUGIN}/gemini-extension.json": _json(
            {**common, **servers, "contextFileName": "AGENTS.md"}
        ),
        f"{PLUGIN}/.mcp.json": _json(servers),
        f"{PLUGIN}/AGENTS.md": LINES,
        f"{PLUGIN}/rules/tuneworthy.mdc": cursor_rule(skill),
        f"{PLUGIN}/skills/tuneworthy/SKILL.md": skill,
    }  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write each file that is stale."""
    for name, text in files().items():
        path = ROOT / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {name}")


if __name__ == "__main__":
    main()
