"""List prices: dated, with a source, for the vendor's host alone; the user's price wins."""

import datetime as dt
import tomllib
from pathlib import Path

import pytest

import tuneworthy
from tuneworthy.models.openai_compatible import open_remote
from tuneworthy.models.remote.price_list import OLD_PRICE_DAYS, listed, outdated, worst_case_cost
from tuneworthy.models.remote.request import size
from tuneworthy.records.task import Data, Economics, Task

HOME = "https://api.openai.com/v1"
FILE = Path(tuneworthy.__file__).parent / "models" / "remote" / "prices.toml"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nothing")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def test_every_entry_has_a_price_a_day_and_a_source():
    for models in tomllib.loads(FILE.read_text("utf-8")).values():
        for name, entry in models.items():
            assert 0 < entry.get("cached_in", entry["in"]) <= entry["in"] <= entry["out"], name
            assert isinstance(entry["read"], dt.date)
            assert entry["source"].startswith("https://")


def test_a_price_holds_for_its_host_and_its_snapshots_alone():
    assert listed("gpt-4.1", HOME).rates["out"] == 8
    assert listed("gpt-4.1-2025-04-14", HOME) == listed("gpt-4.1", HOME)
    assert listed("gpt-4o-2024-05-13", HOME) is None  # had another price
    assert listed("gpt-4.1", "http://localhost:8000/v1") is None
    assert listed("ft:gpt-4.1-mini:me::x", HOME) is None


def test_a_listed_model_needs_no_price_of_the_user_and_the_users_wins():
    class Purse:
        cap_usd = 1

    assert open_remote("gpt-4.1-mini", Purse()).price["in"] == 0.4
    mine = {"gpt-4.1-mini": {"in": 9.0, "out": 9.0}}
    assert open_remote("gpt-4.1-mini", Purse(), mine).price["in"] == 9.0


def test_a_prompt_longer_than_a_price_holds_for_has_no_price():
    model = open_remote("gpt-6-luna")
    body = {"messages": [{"role": "user", "content": "x" * 1000}]}
    usd = worst_case_cost(model.price, size(body), 10)
    assert float(usd) == pytest.approx((1066 * 0.125 + 10 * 0.5) / 1e6, rel=0.05)
    long = {"messages": [{"role": "user", "content": "x" * 300_000}]}
    assert worst_case_cost(model.price, size(long), 10) is None


def test_i132_an_old_price_is_warned_of_with_its_date_and_its_source():
    task = Task(data=Data(file="x"), model="openai:gpt-4.1-mini", teacher=f"openai:gpt-4.1@{HOME}")
    read = listed("gpt-4.1-mini", HOME).read
    assert list(outdated(task, read + dt.timedelta(days=OLD_PRICE_DAYS))) == []
    both = list(outdated(task, read + dt.timedelta(days=OLD_PRICE_DAYS + 1)))
    assert [one.kind for one in both] == ["old_price"] * 2
    assert f"gpt-4.1-mini was read on {read}, {OLD_PRICE_DAYS + 1} days ago" in both[0].text
    assert "economics.prices (https://" in both[0].fix
    own = task.model_copy(
        update={"economics": Economics(prices={"gpt-4.1-mini": {"in": 1, "out": 2}})}
    )
    left = outdated(own, read + dt.timedelta(days=OLD_PRICE_DAYS + 1))
    assert [one.text.split()[4] for one in left] == ["gpt-4.1"], "the price of the user is its own"
    local = task.model_copy(update={"model": "smollm2-135m", "teacher": None})
    assert list(outdated(local, dt.date(2100, 1, 1))) == []


def test_i132_a_model_that_its_vendor_has_ended_is_warned_of():
    task = Task(data=Data(file="x"), model="openai:gpt-4.1")
    ends = listed("gpt-4.1", HOME).retires
    kinds = [one.kind for one in outdated(task, ends)]
    assert "ended_model" in kinds
    assert "ended_model" not in [one.kind for one in outdated(task, ends - dt.timedelta(days=1))]
