"""Rows of the lab's cases: office rules, passages, places, general questions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from tuneworthy.records.case import Message
from tuneworthy.records.failure import Config, LabRow, LabRows
from tuneworthy.records.record import digest

CHANGE_DAY = "2024-07-01"  # the day on which half of the rules got another value

_NUMBER = re.compile(r"\d+")


def _question_by_subject(row: LabRow) -> LabRow:
    """Return the row with its question reworded for a search as `SUBJECT: how many UNIT?`."""
    *before, asked = row.messages
    text = f"{row.meta['docs'][0]['title']}: how many {row.output.split()[1]}?"
    return replace(row, messages=(*before, asked.model_copy(update={"content": text})))


def rows_by_subject(given: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return training and new rows with each question reworded as `SUBJECT: how many UNIT?`."""
    return LabRows(
        tuple(map(_question_by_subject, given.train)), tuple(map(_question_by_subject, given.new))
    )


def rows_after_change(given: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return new rows dated after the change: 28 on rules that changed, 12 on others."""
    every = [
        _question_by_subject(row)
        for row in (*given.new, *given.train)
        if row.meta["time"] >= CHANGE_DAY
    ]
    changed = [row.id for row in every if edition_number(row) == 2][:28]
    kept = [row.id for row in every if edition_number(row) == 1][:12]
    return LabRows(given.train, tuple(row for row in every if row.id in {*changed, *kept}))


def first_number(text: str) -> str | None:
    """Return the first number in a text as digits; None if there is none."""
    number = _NUMBER.search(text)
    return number.group() if number else None


def number_and_unit(text: str) -> str:
    """Return the first number in a text and the word after it ("12 weeks"); "" without a number."""
    number = _NUMBER.search(text)
    return " ".join(text[number.start() :].split()[:2]).rstrip(".,") if number else ""


def document_id(row: LabRow) -> str:
    """Return the id of the document that answers a row's question."""
    return str(row.meta["context"]["doc"])


def rule_id(doc: str) -> str:
    """Return the id of the rule of which a document (by its id) is one edition."""
    return doc.rpartition("-")[0]


def edition_number(row: LabRow) -> int:
    """Return which edition of its rule answers a row's question, counted from 1."""
    return int(document_id(row).rpartition("-")[2])


REFUSAL = "not stated"

_REFUSAL_INSTRUCTION = f" If the passage does not say it, answer: {REFUSAL}"


def answering_document(row: LabRow) -> Mapping[str, Any]:
    """Return the document that states a row's answer."""
    own = row.meta["context"]["doc"]
    doc: Mapping[str, Any] = next(doc for doc in row.meta["docs"] if doc["id"] == own)
    return doc


def other_passage(row: LabRow, pool: Sequence[LabRow], rng: Random) -> Mapping[str, Any]:
    """Return another document of `pool` at random, of the same office or rule if there is one."""
    own = answering_document(row)
    office, rule = office_and_rule(own)
    others = [answering_document(each) for each in pool]
    near = [doc for doc in others if doc["title"] != own["title"]
            and (office_and_rule(doc)[0] == office or office_and_rule(doc)[1] == rule)]  # fmt: skip
    return rng.choice(near or [doc for doc in others if doc["title"] != own["title"]])


def office_and_rule(doc: Mapping[str, Any]) -> tuple[str, str]:
    """Return the office and the rule that a document's title names."""
    office, _, rule = str(doc["title"]).partition(": ")
    return office, rule


def edition_row(row: LabRow, words: str, edition: int, with_text: bool) -> LabRow:
    """Return a row that asks for the row's rule in `words`; its answer is the value of one edition.

    `with_text` puts that edition's text before the question. `meta["older"]` has older values.
    """
    unit, docs = row.output.split()[1], row.meta["docs"]
    office, rule = office_and_rule(docs[edition])
    text = words.format(office=office, rule=rule, unit=unit)
    if with_text:
        text = f"Passage: {docs[edition]['text']}\n\nQuestion: {text}"
    values = [_stated_value(doc, unit) for doc in docs]
    turns = (*row.messages[:-1], Message(role="user", content=text))
    meta = {"older": values[:edition]}
    name = f"{row.id} {digest(words, 4)}"
    return replace(row, id=name, messages=turns, output=values[edition], meta=meta)


def _stated_value(doc: Mapping[str, Any], unit: str) -> str:
    """Return the value that a document states, for instance "12 weeks"."""
    found = re.search(rf"\d+ {re.escape(unit)}\b", doc["text"])
    if found is None:
        raise ValueError(f"{doc['id']} states no number of {unit}")
    return found[0]


def with_passage(row: LabRow, doc: Mapping[str, Any], answer: str) -> LabRow:
    """Return a row whose question follows a passage, with the answer that the passage allows."""
    turns = [
        turn.model_copy(update={"content": turn.content + _REFUSAL_INSTRUCTION})
        if turn.role == "system"
        else turn
        for turn in row.messages[:-1]
    ]
    asked = f"Passage: {doc['text']}\n\nQuestion: {row.input}"
    return replace(row, messages=(*turns, Message(role="user", content=asked)), output=answer)


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

_WORDINGS = ("In which country is {}?", "In which country does {} lie?")

EXAMPLES = (("Lyon", "France"), ("Osaka", "Japan"), ("Luxor", "Egypt"))

_TOWN_PARTS = (
    ("Har", "Pel", "Nor", "Sul", "Wex", "Gim", "Tov", "Lar"),
    ("ford", "burg", "mouth", "ville"),
)

_COUNTRY_PARTS = (
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
    towns, lands = (_draw_names(rng, parts, count) for parts in (_TOWN_PARTS, _COUNTRY_PARTS))
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
        turns += [("user", _WORDINGS[0].format(city)), ("assistant", land)]
    turns += [("user", _WORDINGS[way].format(place))]
    messages = tuple(Message.model_validate({"role": r, "content": text}) for r, text in turns)
    return LabRow(f"{place} {way}", messages, country, {"kind": kind})


PROBE_COUNT = 16

_QUESTIONS_AND_ANSWERS = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("Why do leaves fall in autumn?",
     "Trees drop their leaves in autumn to save water and energy for the winter."),
    ("What do bees make?", "Bees make honey from the nectar of flowers."),
    ("How many days does a week have?", "A week has seven days."),
    ("Give me a tip for better sleep.",
     "Go to bed at the same time every night and keep the room dark and cool."),
    ("What is a bicycle?", "A bicycle is a vehicle with two wheels that is moved by pedals."),
    ("Who wrote Romeo and Juliet?", "Romeo and Juliet was written by William Shakespeare."),
    ("What is the boiling point of water?",
     "Water boils at 100 degrees Celsius at normal air pressure."),
    ("Name three colours.", "Three colours are red, blue and green."),
    ("What does a doctor do?", "A doctor examines people who are ill and helps them get better."),
    ("Say something kind to a tired friend.",
     "You have worked hard today, and you deserve a good rest."),
    ("Why is the sky blue?",
     "The sky is blue because air scatters blue light more than red light."),
    ("What is the opposite of cold?", "The opposite of cold is hot."),
    ("How do I boil an egg?", "Put the egg in boiling water for about eight minutes."),
    ("What is a library for?", "A library is a place where people can read and borrow books."),
    ("Write one sentence about the sea.", "The sea was calm, and the waves shone in the sun."),
    ("What is the capital of Italy?", "The capital of Italy is Rome."),
    ("How many months does a year have?", "A year has twelve months."),
    ("What do cows eat?", "Cows eat grass and hay."),
    ("What is rain?", "Rain is water that falls from clouds in drops."),
    ("Name three fruits.", "Three fruits are apples, pears and bananas."),
    ("What does a teacher do?", "A teacher helps students to learn new things."),
    ("What is the opposite of early?", "The opposite of early is late."),
    ("How do I make tea?", "Pour hot water over the tea leaves and wait for about four minutes."),
    ("Write one sentence about the night.", "The night was quiet, and the stars were bright."),
    ("Why do people wear coats?", "People wear coats to keep warm when it is cold outside."),
    ("What is a bridge?", "A bridge is a structure that carries a road over a river or a valley."),
    ("Give me a tip for learning a language.",
     "Practise a little every day and speak with other people as often as you can."),
    ("Which planet do we live on?", "We live on the planet Earth."),
    ("What is ice?", "Ice is water that has frozen and become solid."),
    ("Say something kind to a new colleague.",
     "Welcome to the team, we are glad that you are here."),
    ("What is a hospital for?", "A hospital is a place where people who are ill are treated."),
    ("How many hours does a day have?", "A day has twenty-four hours."),
    ("What do birds build?", "Birds build nests for their eggs and their young."),
    ("Why do we brush our teeth?", "We brush our teeth to keep them clean and healthy."),
    ("Name three animals.", "Three animals are dogs, cats and horses."),
    ("What is the opposite of full?", "The opposite of full is empty."),
    ("What is a map?", "A map is a drawing that shows where places are."),
    ("Give me a tip for saving money.",
     "Write down what you spend, and put a small sum aside every month."),
    ("Write one sentence about a train.", "The train left the station and went into the hills."),
)  # fmt: skip


def probe_rows() -> tuple[LabRow, ...]:
    """Return 16 general questions that only measure the model; no run trains on them."""
    return tuple(_question_row(at) for at in range(PROBE_COUNT))


def replay_rows(count: int) -> tuple[LabRow, ...]:
    """Return `count` rows of the other questions, repeated from the first if they are too few."""
    rest = len(_QUESTIONS_AND_ANSWERS) - PROBE_COUNT
    return tuple(_question_row(PROBE_COUNT + at % rest) for at in range(count))


def _question_row(at: int) -> LabRow:
    asked, answer = _QUESTIONS_AND_ANSWERS[at]
    return LabRow(f"general {at}", (Message(role="user", content=asked),), answer)
