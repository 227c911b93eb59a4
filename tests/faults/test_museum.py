"""Put each historic bug of another project into our code: the tests named for it must fail."""

from functools import cache

import pytest
from tests import museum_kit

ALL = museum_kit.injections()
FAILED = 1  # pytest's code where tests ran and one failed; others mean that none ran


@cache
def passes(tests):
    told = museum_kit.run(tests, museum_kit.PACKAGE.parent)
    return told.returncode == 0, told.stdout[-3000:]


def caught(injection, folder):
    src = museum_kit.overlaid(folder, injection)
    for test in injection.tests:
        right, said = passes((test,))
        assert right, f"{test} fails without the mistake:\n{said}"
        told = museum_kit.run([test], src)
        assert told.returncode == FAILED, f"{test} lets it pass:\n{told.stdout[-3000:]}"


@pytest.mark.long
@pytest.mark.parametrize("injection", ALL, ids=lambda one: one.name)
def test_a_historic_bug_is_caught(injection, tmp_path, request):
    if injection.gap:
        request.applymarker(pytest.mark.xfail(reason="a test is to be written", strict=True))
    caught(injection, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("injection", [one for one in ALL if one.quick], ids=lambda one: one.name)
def test_a_historic_bug_of_pure_logic_is_caught(injection, tmp_path):
    caught(injection, tmp_path)


@pytest.mark.full
def test_a_mistake_that_changes_nothing_is_not_caught(tmp_path):
    one = next(one for one in ALL if one.quick)
    nothing = museum_kit.Injection(one.name, one.file, one.old, one.old, one.tests)
    with pytest.raises(AssertionError, match="lets it pass"):
        caught(nothing, tmp_path)


def test_each_mistake_still_fits_the_source():
    for one in ALL:
        text = (museum_kit.PACKAGE / one.file).read_text("utf-8")
        assert text.count(one.old) == 1, one.name
        assert one.old != one.new, one.name
        compile(one.source(), one.file, "exec")
        for test in one.tests:
            file, _, function = test.partition("::")
            assert f"def {function}" in (museum_kit.ROOT / file).read_text("utf-8"), test
