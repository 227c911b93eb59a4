"""The words of `house_idiom`: things with fields, and what a function may be asked to do."""

from __future__ import annotations

from typing import NamedTuple


class Thing(NamedTuple):
    """A kind of record: its plural and singular, its numeric fields, its boolean fields."""

    many: str
    one: str
    amounts: tuple[str, ...]
    flags: tuple[str, ...]


class Job(NamedTuple):
    """A function to write: its name, request, return type, docstring and body."""

    name: str
    asked: str
    returns: str
    told: str
    body: str


THINGS = (
    Thing("parcels", "parcel", ("weight", "height", "fee"), ("paid", "fragile")),
    Thing("tickets", "ticket", ("price", "row"), ("sold", "printed")),
    Thing("books", "book", ("pages", "price", "copies"), ("lent", "signed")),
    Thing("trees", "tree", ("height", "age"), ("fallen", "marked")),
    Thing("trips", "trip", ("distance", "cost", "days"), ("booked", "shared")),
    Thing("rooms", "room", ("area", "beds"), ("clean", "heated")),
    Thing("invoices", "invoice", ("total", "tax", "days"), ("open", "disputed")),
    Thing("songs", "song", ("length", "plays"), ("live", "hidden")),
    Thing("plants", "plant", ("height", "pots"), ("thirsty", "indoor")),
    Thing("loans", "loan", ("amount", "rate", "months"), ("late", "frozen")),
    Thing("shifts", "shift", ("hours", "wage"), ("covered", "nightly")),
    Thing("boats", "boat", ("length", "seats"), ("moored", "insured")),
    Thing("games", "game", ("score", "minutes"), ("won", "away")),
    Thing("sensors", "sensor", ("reading", "drift"), ("broken", "outdoor")),
)
JOBS = (
    Job("total_{amount}", "returns the sum of `{amount}` over the {many} that are {flag}", "float",
        "Return the total {amount} of the {many} that are {flag}.",
        'return sum({one}["{amount}"] for {one} in {many} if {one}["{flag}"])'),
    Job("count_{flag}", "counts the {many} that are {flag} and have `{amount}` above {n}", "int",
        "Return how many {many} are {flag} and have more {amount} than {n}.",
        'return sum({one}["{flag}"] and {one}["{amount}"] > {n} for {one} in {many})'),
    Job("highest_{amount}", "returns the largest `{amount}` of the {many} that are {flag}, or {n} "
        "if there is none", "float",
        "Return the highest {amount} of the {many} that are {flag}, {n} without any.",
        'return max(({one}["{amount}"] for {one} in {many} if {one}["{flag}"]), default={n})'),
    Job("names_by_{amount}", "returns the `name` of each of the {many} that are {flag}, in order "
        "of `{amount}`", "list[str]",
        "Return the names of the {many} that are {flag}, smallest {amount} first.",
        'chosen = [{one} for {one} in {many} if {one}["{flag}"]]\n'
        '    return [{one}["name"] for {one} in sorted(chosen, key=itemgetter("{amount}"))]'),
    Job("{amount}_by_name", "maps the `name` of the {many} that are not {flag} to their `{amount}`",
        "dict[str, float]",
        "Return the {amount} of the {many} that are not {flag}, by name.",
        'return {{{one}["name"]: {one}["{amount}"] for {one} in {many} if not {one}["{flag}"]}}'),
    Job("any_{flag}_over", "says whether any of the {many} is {flag} with a `{amount}` of at least "
        "{n}", "bool",
        "Return whether a {one} is {flag} and has a {amount} of {n} or more.",
        'return any({one}["{flag}"] and {one}["{amount}"] >= {n} for {one} in {many})'),
    Job("mean_{amount}", "returns the average `{amount}` of the {many} that are {flag}, and {n} if "
        "there are none", "float",
        "Return the mean {amount} of the {many} that are {flag}, {n} without any.",
        'values = [{one}["{amount}"] for {one} in {many} if {one}["{flag}"]]\n'
        "    return sum(values) / len(values) if values else {n}"),
)  # fmt: skip
ASKS = (
    "Write `{call}`: it {asked}.",
    "Write a Python function `{call}` that {asked}.",
    "We need `{call}`. It {asked}.",
    "Please add `{call}`, which {asked}.",
    "`{call}` {asked}. Write it.",
)
