"""Cities whose country the embedded model names without training, and towns of a novel."""

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
ASKS = ("In which country is {}?", "In which country does {} lie?")
SHOWN = (("Lyon", "France"), ("Osaka", "Japan"), ("Luxor", "Egypt"))
TOWNS = ("Har", "Pel", "Nor", "Sul", "Wex", "Gim", "Tov", "Lar"), ("ford", "burg", "mouth", "ville")
LANDS = ("Or", "Vel", "Mar", "Tas", "Bren", "Quil", "Dov", "Zan"), ("ia", "land", "ova", "istan")


def known_rows(seed: int, way: int) -> list[LabRow]:
    """Return a question for the country of each real city, in one wording and a seeded order."""
    lies = {city: land for land, cities in CITIES.items() for city in cities.split()}
    drawn = Random(f"cities {seed}").sample(sorted(lies), len(lies))
    return [_row(city, lies[city], way, "known") for city in drawn]


def novel_rows(seed: int, count: int, way: int) -> list[LabRow]:
    """Return questions for the countries of a novel's towns, in one wording; no name twice."""
    rng = Random(f"novel {seed}")
    towns, lands = (_names(rng, parts, count) for parts in (TOWNS, LANDS))
    return [_row(town, land, way, "new") for town, land in zip(towns, lands, strict=True)]


def _names(rng: Random, parts: tuple[tuple[str, ...], tuple[str, ...]], count: int) -> list[str]:
    starts, ends = parts
    names = [f"{a}{b}{c}{d}" for a in starts for b in "aeiou" for c in "klnrst" for d in ends]
    return rng.sample(names, count)


def _row(place: str, country: str, way: int, kind: str) -> LabRow:
    turns = [("system", "Answer with the name of the country only.")]
    for city, land in SHOWN:
        turns += [("user", ASKS[0].format(city)), ("assistant", land)]
    turns += [("user", ASKS[way].format(place))]
    messages = tuple(Message.model_validate({"role": r, "content": text}) for r, text in turns)
    return LabRow(f"{place} {way}", messages, country, {"kind": kind})
