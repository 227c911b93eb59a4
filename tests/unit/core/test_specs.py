"""The arms of a task: errors of `arms:` name the place and the fault."""

import pytest

from tuneworthy.core.errors import TaskError
from tuneworthy.core.specs import specs
from tuneworthy.core.task import Data, Task


def task(arms):
    return Task(data=Data(file="rows.jsonl"), arms=arms)


def test_an_empty_list_of_arms_is_refused():
    with pytest.raises(TaskError, match="empty list"):
        specs(task([]))


def test_an_option_that_an_arm_does_not_have_is_named():
    with pytest.raises(TaskError, match="options of arm `few_shot`") as caught:
        specs(task([{"few_shot": {"k": "many"}}]))
    assert "few_shot.k" in caught.value.where


def test_two_arms_of_one_name_are_refused():
    with pytest.raises(TaskError, match="two arms have one name"):
        specs(task(["few_shot", "few_shot"]))


def test_the_present_system_has_the_tool_that_the_task_names():
    given = Task(data=Data(file="rows.jsonl"), arms=["present"],
                 present={"answers": "logged.jsonl", "tool": "tune"})  # fmt: skip
    assert specs(given)[0].tool == "tune"
