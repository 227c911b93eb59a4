"""Write docs/pictures/tokens.png and tokens-dark.png: the tokens of a case of the lab.

`python tools/lab_picture.py` exports the lab, opens a case in chromium and takes the panel at the
last step. It needs playwright and chromium.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

from tuneworthy.lab.export import export_site

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
CASE = "never-stops"
SCHEMES: tuple[tuple[Literal["light", "dark"], str], ...] = (
    ("light", "tokens"), ("dark", "tokens-dark"),
)  # fmt: skip


def main() -> None:
    """Take the panel of the tokens in light and in dark."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as running:
        page = export_site(Path(place) / "lab").with_name(f"case-{CASE}.html")
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, name in SCHEMES:
            tab = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme=scheme,
                                   reduced_motion="reduce", device_scale_factor=1.4)  # fmt: skip
            tab.goto(page.as_uri())
            tab.locator("body[data-ready=yes]").wait_for()
            tab.keyboard.press("e")  # the end token, of which the case is
            tab.locator("#token-panel").screenshot(path=PICTURES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
