"""The picture of a solved case, in chromium: a PNG with the curves of run, fix and twin."""

import base64
import struct
import sys
from pathlib import Path

import pytest
from tests.browser_kit import BROWSER_MARKS

sys.path.insert(0, str(Path(__file__).parent))
from test_lab_in_browser import (  # noqa: F401
    CASE,
    browser,
    ready,
    silent,
    site,
    solve,
    until,
    visit,
)

pytest.importorskip("playwright.sync_api")
pytestmark = BROWSER_MARKS
COLOURS = """async (data) => {
  const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
  const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
  canvas.width = image.width; canvas.height = image.height; pen.drawImage(image, 0, 0);
  const dots = pen.getImageData(0, 0, image.width, image.height).data, found = new Set();
  for (let k = 0; k < dots.length; k += 4) found.add('#' + [0, 1, 2].map((c) => dots[k + c].toString(16).padStart(2, '0')).join(''));
  return [...found];
}"""  # noqa: E501


def test_a_solved_case_is_kept_as_a_picture(visit, site):  # noqa: F811
    tab = ready(visit(CASE))
    assert tab.locator("#keep-card").is_hidden(), "it tells the cause"
    solve(tab)
    tab.locator('[data-knob="pad_token"]').select_option("<|endoftext|>")
    tab.locator("#rerun").click()
    until(tab, "!document.querySelector('[data-step=won]').hidden")
    with tab.expect_download() as waiting:
        tab.locator("#keep-card").click()
    picture = waiting.value.path().read_bytes()
    assert waiting.value.suggested_filename == "never-stops.png"
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24]) == (1200, 630)
    drawn = tab.evaluate(COLOURS, base64.b64encode(picture).decode())
    assert {"#b03d16", "#0b6b60", "#8b867c"} <= set(drawn), "this run, the fix and the twin"
    silent(tab, site)
