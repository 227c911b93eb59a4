"""Rows that ask for the country of a city that the embedded model knows, or of an invented town."""

from __future__ import annotations

from random import Random

from tuneworthy.core.case import Message
from tuneworthy.core.failure import LabRow

CITIES = {
    "Australia": "Brisbane Melbourne Perth Sydney", "Austria": "Salzburg Vienna",
    "Belgium": "Antwerp Brussels", "Brazil": "Brasilia", "Canada": "Montreal Toronto Vancouver",
    "China": "Beijing Guangzhou Shanghai Wuhan", "Denmark": "Copenhagen", "Egypt": "Cairo",
    "England": "Liverpool Manchester", "Finland": "Helsinki",
    "France": "Bordeaux Marseille Paris Toulouse", "Greece": "Athens", "Hungary": "Budapest",
    "Germany": "Berlin Cologne Dresden Frankfurt Hamburg Munich",
    "India": "Bangalore Calcutta Chennai Delhi Mumbai", "Indonesia": "Jakarta", "Iran": "Tehran",
    "Iraq": "Baghdad", "Ireland": "Dublin", "Italy": "Florence Milan Naples Rome Turin Venice",
    "Japan": "Hiroshima Kyoto Nagoya Tokyo", "Kenya": "Nairobi", "Morocco": "Casablanca",
    "Norway": "Oslo", "Pakistan": "Lahore", "Poland": "Krakow Warsaw", "Portugal": "Lisbon",
    "Russia": "Moscow", "Scotland": "Edinburgh", "South Korea": "Seoul",
    "Spain": "Barcelona Madrid Seville", "Sweden": "Stockholm", "Switzerland": "Zurich",
    "Turkey": "Ankara Istanbul", "Vietnam": "Hanoi", "Afghanistan": "Kabul",
}  # fmt: skip
WORDINGS = ("In which country is {}?", "In which country does {} lie?")
EXAMPLES = (("Lyon", "France"), ("Osaka", "Japan"), ("Luxor", "Egypt"))
TOWN_PARTS = (
    ("Har", "Pel", "Nor", "Sul", "Wex", "Gim", "Tov", "Lar"),
    ("ford", "burg", "mouth", "ville"),
)
COUNTRY_PARTS = (
    ("Or", "Vel", "Mar", "Tas", "Bren", "Quil", "Dov", "Zan"),
    ("ia", "land", "ova", "istan"),
)


def known_city_rows(seed: int, way: int) -> list[LabRow]:
    """Return a row per real city that asks for its country, in wording `way` and a seeded order."""
    lies = {city: land for land, cities in CITIES.items() for city in cities.split()}
    drawn = Random(f"cities {seed}").sample(sorted(lies), len(lies))
    return [_country_row(city, lies[city], way, "known") for city in drawn]


def invented_town_rows(seed: int, count: int, way: int) -> list[LabRow]:
    """Return `count` rows that ask for the country of an invented town, in wording `way`."""
    rng = Random(f"novel {seed}")
    towns, lands = (_draw_names(rng, parts, count) for parts in (TOWN_PARTS, COUNTRY_PARTS))
    return [_country_row(town, land, way, "new") for town, land in zip(towns, lands, strict=True)]


def _draw_names(
    rng: Random, parts: tuple[tuple[str, ...], tuple[str, ...]], count: int
) -> list[str]:
    starts, ends = parts
    names = [f"{a}{b}{c}{d}" for a in starts for b in "aeiou" for c in "klnrst" for d in ends]
    return rng.sample(names, count)


def _country_row(place: str, country: str, way: int, kind: str) -> LabRow:
    turns = [("system", "Answer with the name of the country only.")]
    for city, land in EXAMPLES:
        turns += [("user", WORDINGS[0].format(city)), ("assistant", land)]
    turns += [("user", WORDINGS[way].format(place))]
    messages = tuple(Message.model_validate({"role": r, "content": text}) for r, text in turns)
    return LabRow(f"{place} {way}", messages, country, {"kind": kind})
