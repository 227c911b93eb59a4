"""List prices: dated, with a source, for the vendor's host alone; the user's price wins."""

import datetime as dt
import tomllib
from pathlib import Path

import pytest

import tuneworthy
from tuneworthy.models.openai_compatible import open_remote
from tuneworthy.models.remote.prices import listed, worst_case_cost
from tuneworthy.models.remote.request import size

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
