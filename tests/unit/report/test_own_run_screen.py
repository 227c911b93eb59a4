"""The screen of `check --run`: widths, plain form, what is shown and in which words."""

import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

sys.path.insert(0, str(Path(__file__).parents[2]))
import run_folder_kit as kit
from tuneworthy.lab.own_run import OwnFiles, check_run
from tuneworthy.records.counting import count_noun
from tuneworthy.records.failure import RunFacts
from tuneworthy.records.run_report import NEEDS_ANSWERS, CaseFinding, OwnRunReport
from tuneworthy.report.checks import own_run_screen


def finding(cause, state, **more):
    given = {"case": cause.replace("_", "-"), "title": f"Title of {cause}", "because": "so much"}
    return CaseFinding(cause=cause, state=state, **{**given, **more})


@pytest.fixture
def report(tmp_path):
    """A run with everything: a bad option, a link, a bad row, an adapter, a masked end."""
    folder = kit.trainer_state(tmp_path / "out", "breaks")
    kit.tokenizer(folder, pad="<|im_end|>", cut=64)
    kit.adapter(folder, base="some/base")
    (folder / "link").symlink_to(folder)
    (folder / "more_log.csv").write_text("x\n1\n")
    rows = kit.rows(tmp_path / "rows.jsonl")
    rows.write_text(rows.read_text() + '{"x": "\\u001b[31m红"}\n')
    return check_run(folder, OwnFiles(rows, rows))


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("plain", [False, True])
def test_no_line_is_wider(report, width, plain):
    text = own_run_screen(report, width, plain).plain
    assert max(map(cell_len, text.split("\n"))) <= width
    assert not plain or text.isascii()
    assert "\x1b" not in text


def test_what_is_found_stands_first_with_its_fix(report):
    text = own_run_screen(report, 120).plain
    found = [each.cause for each in report.of_state("found")]
    assert text.startswith(f"  {count_noun(len(found), 'failure')} found")
    assert "end_not_trained" in found
    for part in ("It never stops talking", "cause      end not trained", "all 32 that were read",
                 "padding", "/case/never-stops", "training broke: the loss is not finite at step",
                 "more_log.csv: no line of this log has a loss", "link: a link, which is not",
                 "1 bad row", "left out: rows.jsonl:33"):  # fmt: skip
        assert part in text, part


def test_a_clean_run_and_one_without_figures_say_so():
    made = {"folder": "out", "trainer": "TRL", "facts": RunFacts()}
    clean = OwnRunReport(**made, findings=(finding("rate_too_high", "clean"),))
    assert own_run_screen(clean).plain.startswith("  no failure found, 1 clean\n")
    assert "rate too high  so much" in own_run_screen(clean).plain
    missing = {"p_end": NEEDS_ANSWERS, "cut_rows": "max_length is not known"}
    none = OwnRunReport(**made, findings=(finding("rows_cut", "not measured", missing=missing),))
    text = own_run_screen(none).plain
    assert text.startswith("  nothing could be measured, 1 not measured\n")
    assert "max_length is not known: rows cut" in text
    assert NEEDS_ANSWERS not in text  # the user can't give it, and need not


def test_rows_of_one_file_are_named_once():
    rows = tuple(f"rows.jsonl:{k}" for k in (3, 7))
    found = finding("rows_cut", "found", rows=rows, row_count=14)
    report = OwnRunReport(folder="out", trainer="TRL", facts=RunFacts(), findings=(found,))
    assert "rows.jsonl: 3, 7 and 12 more" in own_run_screen(report).plain
