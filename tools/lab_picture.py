"""Write the pictures of docs/pictures: the tokens of a case of the lab, the report of a study.

`python tools/lab_picture.py` exports the lab, opens a case in chromium and takes the panel at the
last step, and the first screen of a demo study's report. It needs playwright and chromium.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

from tuneworthy.lab.demo_studies import demo_results
from tuneworthy.lab.export import export_site
from tuneworthy.report.html import page as report_page

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
CASE, STUDY = "never-stops", "clause_type"
SCHEMES: tuple[tuple[Literal["light", "dark"], str], ...] = (
    ("light", ""), ("dark", "-dark"),
)  # fmt: skip


def main() -> None:
    """Take the panel of the tokens and the report, in light and in dark."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as running:
        page = export_site(Path(place) / "lab").with_name(f"case-{CASE}.html")
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, end in SCHEMES:
            tab = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme=scheme,
                                   reduced_motion="reduce", device_scale_factor=1.4)  # fmt: skip
            tab.goto(page.as_uri())
            tab.locator("body[data-ready=yes]").wait_for()
            tab.keyboard.press("e")  # the end token, of which the case is
            tab.locator("#token-panel").screenshot(path=PICTURES / f"tokens{end}.png")
            tab = browser.new_page(viewport={"width": 1128, "height": 760}, color_scheme=scheme)
            tab.set_content(report_page(demo_results(STUDY)))
            tab.screenshot(path=PICTURES / f"report{end}.png")
        browser.close()


if __name__ == "__main__":
    main()
