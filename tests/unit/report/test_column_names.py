"""Column names in the cells of tables that stack on a narrow screen."""

import re

import pytest
import study_fixture

from tuneworthy.report import html
from tuneworthy.report.column_names import name_cells

HEAD = "<thead><tr><th>Arm</th><th>Score, <abbr>95 %</abbr></th></tr></thead>"


def table(rows, kind="plain stack"):
    return f'<table class="{kind}">{HEAD}<tbody>{rows}</tbody></table>'


def test_each_data_cell_says_its_column():
    found = name_cells(table('<tr><th scope="row">lora</th><td class="num">.7</td></tr>'))
    assert '<th scope="row">lora</th><td data-of="Score, 95 %" class="num">.7</td>' in found


@pytest.mark.parametrize("rows", ['<tr><td colspan="2">none</td></tr>', "<tr><td>.7</td></tr>"])
def test_a_row_of_other_cells_stays_as_it_is(rows):
    assert name_cells(table(rows)) == table(rows)


def test_a_table_that_does_not_stack_stays_as_it_is():
    plain = table("<tr><td>lora</td><td>.7</td></tr>", "plain")
    assert name_cells(plain) == plain


def test_every_stacked_row_of_a_report_has_names():
    page = html.page(study_fixture.study())
    tables = re.findall(r'<table class="plain stack.*?</table>', page, re.DOTALL)
    bodies = "".join(table.partition("</thead>")[2] for table in tables)
    rows = re.findall(r"<tr.*?</tr>", bodies, re.DOTALL)
    assert rows
    assert not [row for row in rows if "data-of" not in row and "colspan" not in row]
