"""The page that plans a study: every answer stands for lines that a task file accepts."""

from itertools import product

import pytest
import yaml

from tuneworthy.lab.pages import Site
from tuneworthy.lab.plan_pages import plan_data, plan_page
from tuneworthy.records.task import Task

DATA = plan_data()
NAMED = {"answers": "logged.jsonl", "prompt": "openai:x@https://h/v1", "hf": "hf:org/name",
         "endpoint": "openai:x@https://h/v1", "none": "[present, majority]"}  # fmt: skip


@pytest.mark.parametrize(("today", "model"), list(product(DATA["today"], DATA["models"])))
def test_the_lines_of_every_answer_make_a_task(today, model):
    filled = [
        lines.replace("{}", NAMED.get(key, ""))
        for key, lines in ((today, DATA["today"][today]), (model, DATA["models"][model]))
    ]
    content = yaml.safe_load("\n".join(["data: {file: rows.jsonl}", *filled]))
    task = Task.model_validate(content)
    assert (task.present is None) == (today == "none")
    assert (task.arms == "auto") == (model != "none")


def test_every_type_of_answer_has_an_instruction_and_a_choice():
    page = plan_page(Site())
    for kind in DATA["instructions"]:
        assert f'name="type" value="{kind}"' in page
        Task.model_validate({"data": {"file": "rows.jsonl"}, "output": {"type": kind}})


def test_more_rows_show_smaller_differences():
    points = [least for _, least in DATA["shows"]]
    assert points == sorted(points, reverse=True)
    assert points[0] > 10 > 5 > points[-1]


@pytest.mark.parametrize("site", [Site(), Site(live=False)], ids=["live", "file"])
def test_the_page_has_five_questions(site):
    page = plan_page(site)
    assert [page.count(f"<legend><b>{n}</b>") for n in range(1, 7)] == [1] * 5 + [0]
    assert 'aria-current="page">Decide<' in page
