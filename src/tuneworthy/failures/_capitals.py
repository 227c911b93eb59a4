"""Capitals that a small model knows, and capitals of invented countries that it cannot know."""

from __future__ import annotations

from random import Random

from tuneworthy.core.case import Message
from tuneworthy.core.failure import LabRow

KNOWN = {
    "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Russia": "Moscow",
    "China": "Beijing", "Greece": "Athens", "Portugal": "Lisbon", "Austria": "Vienna",
    "Poland": "Warsaw", "Hungary": "Budapest", "Norway": "Oslo", "Sweden": "Stockholm",
    "Finland": "Helsinki", "Denmark": "Copenhagen", "Ireland": "Dublin", "Scotland": "Edinburgh",
    "Belgium": "Brussels", "the Netherlands": "Amsterdam", "Turkey": "Ankara", "Iran": "Tehran",
    "Iraq": "Baghdad", "India": "New Delhi", "Thailand": "Bangkok", "Vietnam": "Hanoi",
    "South Korea": "Seoul", "Indonesia": "Jakarta", "Australia": "Canberra",
    "New Zealand": "Wellington", "Canada": "Ottawa", "Mexico": "Mexico City", "Cuba": "Havana",
    "Peru": "Lima", "Chile": "Santiago", "Argentina": "Buenos Aires", "Colombia": "Bogota",
    "Venezuela": "Caracas", "Kenya": "Nairobi", "Nigeria": "Abuja", "Ghana": "Accra",
    "Ethiopia": "Addis Ababa", "Morocco": "Rabat", "Algeria": "Algiers", "Tunisia": "Tunis",
    "Senegal": "Dakar", "Zimbabwe": "Harare", "Uganda": "Kampala", "Ukraine": "Kyiv",
    "Romania": "Bucharest", "Bulgaria": "Sofia", "Serbia": "Belgrade", "Croatia": "Zagreb",
    "Lebanon": "Beirut", "Syria": "Damascus", "Jordan": "Amman", "Saudi Arabia": "Riyadh",
    "Pakistan": "Islamabad", "Afghanistan": "Kabul", "Nepal": "Kathmandu",
    "the Philippines": "Manila", "Malaysia": "Kuala Lumpur",
}  # fmt: skip
ASKS = (
    "What is the capital of {}?",
    "Name the capital city of {}.",
    "Which city is the capital of {}?",
)
SHOWN = (("France", "Paris"), ("Japan", "Tokyo"), ("Egypt", "Cairo"))
LANDS = ("or", "vel", "mar", "tas", "bren", "quil", "dov", "zan"), ("ia", "land", "ova", "istan")
TOWNS = ("Har", "Pel", "Nor", "Sul", "Wex", "Gim", "Tov", "Lar"), ("ford", "burg", "mouth", "ville")
MIDDLES = ("a", "e", "i", "o", "u")


def known_rows(seed: int) -> list[LabRow]:
    """Return a question for the capital of each real country, in a seeded order."""
    rng = Random(f"capitals {seed}")
    return [_row(land, KNOWN[land], 0, "known") for land in rng.sample(sorted(KNOWN), len(KNOWN))]


def invented_rows(seed: int, count: int, way: int) -> list[LabRow]:
    """Return questions for the capitals of invented countries, in one wording; no name twice."""
    rng = Random(f"invented {seed}")
    lands, towns = (_names(rng, parts, count) for parts in (LANDS, TOWNS))
    return [_row(land, town, way, "new") for land, town in zip(lands, towns, strict=True)]


def _names(rng: Random, parts: tuple[tuple[str, ...], tuple[str, ...]], count: int) -> list[str]:
    starts, ends = parts
    names = {f"{a}{b}{c}{d}".capitalize() for a in starts for b in MIDDLES for c in "klnrst"
             for d in ends}  # fmt: skip
    return rng.sample(sorted(names), count)


def _row(land: str, town: str, way: int, kind: str) -> LabRow:
    turns = [("system", "Answer with the name of the city only.")]
    for country, capital in SHOWN:
        turns += [("user", ASKS[0].format(country)), ("assistant", capital)]
    turns += [("user", ASKS[way].format(land))]
    messages = tuple(Message.model_validate({"role": r, "content": text}) for r, text in turns)
    return LabRow(f"{land} {way}", messages, town, {"kind": kind})
