"""Documents of planted facts and an encoder without weights, for the tests of retrieval."""

import hashlib
import random

import numpy as np

from tuneworthy.arms.retrieval.index import words
from tuneworthy.records.case import Case, Message
from tuneworthy.rows.docs import Doc

FRONTS = ("Alder", "Brenn", "Calver", "Dun", "Ester", "Fjord", "Gallow", "Harte")
PLACES = [f"{a}{b}" for a in FRONTS for b in ("wick", "hof", "marsh", "heim", "more")]
THINGS = ("parental leave", "the meal allowance", "bicycle racks", "the notice period",
          "the hotel limit")  # fmt: skip


def cells(n):
    """Return (number, place, thing) of the first n."""
    pairs = [(place, thing) for place in PLACES for thing in THINGS][:n]
    return [(at, place, thing) for at, (place, thing) in enumerate(pairs)]


def said(place, thing, at):
    return f"At {place}, {thing} is {7 * at} units."


def docs(n=200):
    """Return n documents, each with the one figure of one place and thing."""
    cells = [(place, thing) for place in PLACES for thing in THINGS][:n]
    return tuple(
        Doc(
            id=f"d{at:03d}", title=f"{place}: rules", text=f"At {place}, {thing} is {7 * at} units."
        )
        for at, (place, thing) in enumerate(cells)
    )


def cases(n=200):
    """Return a question for each document, its answer and its passage known."""
    cells = [(place, thing) for place in PLACES for thing in THINGS][:n]
    return [
        case(
            f"c{at}", f"How many units is {thing} in {place}?", f"{7 * at} units", doc=f"d{at:03d}"
        )
        for at, (place, thing) in enumerate(cells)
    ]


def case(name, question, answer, doc=None, **more):
    meta = {"doc_id": doc} if doc else {}
    turn = Message(role="user", content=question)
    return Case(id=name, messages=(turn,), output=answer, meta=meta, **more)


class Hashed:
    """Bags of words in 64 random directions: alike where words are shared. Counts what it reads."""

    def __init__(self, version="1"):
        self.fingerprint = {"encoder": "hashed", "version": version}
        self.read = []

    def encode(self, texts):
        self.read += texts
        return np.stack([self._one(text) for text in texts])

    def _one(self, text):
        total = np.zeros(64)
        for word in words(text):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            total += np.random.default_rng(seed).standard_normal(64)
        return (total / (np.linalg.norm(total) or 1)).astype(np.float32)


class Noise(Hashed):
    """Vectors that say nothing about the text beside telling texts apart."""

    def __init__(self):
        super().__init__("noise")

    def _one(self, text):
        draw = random.Random(text)
        row = np.array([draw.gauss(0, 1) for _ in range(64)])
        return (row / np.linalg.norm(row)).astype(np.float32)
