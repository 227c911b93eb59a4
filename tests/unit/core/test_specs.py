"""Which arms a task gets: a list that is wrong says where and what."""

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
