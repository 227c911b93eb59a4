"""Plug-ins of other packages, a plug-in without its required names, and a verdict's repr."""

from types import ModuleType, SimpleNamespace

import pytest
from tests import studies

from tuneworthy.flows.study import run
from tuneworthy.records import plugins
from tuneworthy.records.errors import TaskError


def test_an_entry_point_is_a_plugin_and_its_promised_names_are_checked(monkeypatch):
    good, bad = ModuleType("good"), ModuleType("bad")
    good.score = lambda case, answer, options: None
    made = {"good": good, "bad": bad}
    points = [
        SimpleNamespace(name=name, value=f"other.{name}", load=lambda module=module: module)
        for name, module in made.items()
    ]
    monkeypatch.setattr(
        plugins, "entry_points",
        lambda group, name=None: [p for p in points if name in (None, p.name)],
    )  # fmt: skip
    plugins.catalogue.cache_clear()
    try:
        assert plugins.catalogue("metrics")["good"] == "from other.good"
        assert plugins.load("metrics", "good") is good
        with pytest.raises(TaskError, match="does not define"):
            plugins.load("metrics", "bad")
    finally:
        plugins.catalogue.cache_clear()


def test_a_verdict_shows_itself_in_a_notebook(tmp_path):
    study = run(studies.write(tmp_path))
    assert study.verdict.status in study.verdict.__rich__()
    assert study.verdict.arm in study._repr_html_()
    assert study.table()
