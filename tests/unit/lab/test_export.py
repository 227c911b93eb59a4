"""The exported site: whole, silent, with the bytes of the records; no folder is overwritten."""

import json
import re

import pytest

from tuneworthy.lab.cases import all_cases, case_of
from tuneworthy.lab.export import export_site
from tuneworthy.lab.recordings import Recordings, shipped_bytes
from tuneworthy.records.errors import TaskError


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return export_site(tmp_path_factory.mktemp("site") / "lab").parent


def value_of(path, call):
    content = path.read_bytes()
    assert content.startswith(call.encode() + b"(")
    assert content.endswith(b");\n")
    return content[len(call) + 1 : -3]


def test_data_scripts_hold_the_same_bytes_as_the_records(site):
    ids = Recordings(case_of("never-stops")).ids()
    assert len(ids) >= 2
    for name in ids:
        assert value_of(site / "data" / f"{name}.js", "lab.record") == shipped_bytes(name)


def test_every_case_has_a_page_and_its_answers(site):
    for slug, case in all_cases().items():
        assert (site / f"case-{slug}.html").is_file()
        data = json.loads(value_of(site / "data" / f"case-{slug}.js", "lab.case"))
        assert set(data["reveal"]["guess"]) == set(case.module.CAUSES)
        assert set(data["reveal"]["cite"]) == set(case.module.MEASURES)
        assert "api" not in data


def test_every_address_in_the_site_is_a_file_beside_it(site):
    for page in site.glob("*.html"):
        for address in re.findall(r'(?:href|src)="([^"]+)"', page.read_text("utf-8")):
            if not address.startswith(("data:", "#")):
                assert (site / address.partition("#")[0]).is_file(), address


def test_a_second_export_renews_the_first(site):
    (site / "index.html").write_text("old", "utf-8")
    assert "It never stops talking" in export_site(site).read_text("utf-8")


def test_a_folder_of_the_users_is_left_alone(tmp_path):
    kept = tmp_path / "notes.txt"
    kept.write_text("mine", "utf-8")
    with pytest.raises(TaskError, match="other files"):
        export_site(tmp_path)
    with pytest.raises(TaskError, match="a folder"):
        export_site(kept)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert kept.read_text("utf-8") == "mine"
