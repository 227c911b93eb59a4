"""The address of a ledger is parsed, and shown without its password."""

import pytest

from tuneworthy.core.errors import SecurityError
from tuneworthy.core.ledger_url import parse_ledger_url
from tuneworthy.ledger.place import place_to_write


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me@169.254.169.254/db",
        "postgresql://me@good,[fd00:ec2::254]:5432/db",
        "postgresql:///db?host=metadata.google.internal",
        "postgresql:///db?host=ok&hostaddr=0xA9FEA9FE",
        "postgresql://me@169%2E254.169.254:5432/db",
    ],
)
def test_no_ledger_is_asked_at_the_address_of_a_cloud(text, tmp_path):
    with pytest.raises(SecurityError, match="own cloud"):
        place_to_write(tmp_path, text, "task")


@pytest.mark.parametrize(
    ("text", "conninfo", "shown", "name"),
    [
        ("postgresql://me@host/db", "postgresql://me@host/db", "postgresql://me@host/db", ""),
        ("postgres://host", "postgresql://host", "postgresql://host/", ""),
        (
            "postgresql://me:pw%40x@one:1,two:2/db?sslmode=require&ledger=a.b-c",
            "postgresql://me:pw%40x@one:1,two:2/db?sslmode=require",
            "postgresql://me@one:1,two:2/db",
            "a.b-c",
        ),
        (
            "postgresql:///db?host=/run/pg&password=pw",
            "postgresql:///db?host=/run/pg&password=pw",
            "postgresql:///db?host=/run/pg",
            "",
        ),
    ],
)
def test_an_address(text, conninfo, shown, name):
    url = parse_ledger_url(text)
    assert (url.conninfo, url.shown, url.name) == (conninfo, shown, name)
    assert "pw" not in repr(url)
    assert ("pw" in text) == bool(url.secrets)


def test_a_password_is_known_in_each_spelling():
    assert parse_ledger_url("postgresql://me:a%40b@h/d").secrets == ("a%40b", "a@b")


@pytest.mark.parametrize(
    "text",
    [
        "", "sqlite", "mysql://me:geheim@h/d", "postgresql://me:ge/heim@h/d",
        "postgresql://me:ge@heim@h/d", "postgresql://me:geheim@h/d?ledger=", "postgresql:me:geheim",
        "postgresql://me:geheim@h/d?ledger=a&ledger=b", "postgresql://me:geheim@h/d?ledger=a b",
        "postgresql://me:geheim@h/d?ledger=" + "a" * 65, "postgresql://me:gehe\nim@h/d",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_shown(text):
    with pytest.raises(ValueError) as error:
        parse_ledger_url(text)
    assert "heim" not in str(error.value)
