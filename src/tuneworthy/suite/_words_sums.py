"""The words of `word_sums`: who has what, and the sentence of each step."""

from __future__ import annotations

PEOPLE = (
    "Mira", "Jonas", "Olga", "Ravi", "Tessa", "Bruno", "Hanna", "Felix", "Noor", "Diego",
    "Ingrid", "Kofi", "Lena", "Marek", "Priya", "Samir", "Greta", "Tomas", "Yuki", "Amara",
)  # fmt: skip
THINGS = (
    "lamps", "pears", "tickets", "books", "tiles", "candles", "pens", "melons", "stamps", "cups",
    "bricks", "plants", "badges", "coins", "maps", "bottles", "shirts", "nails", "posters", "eggs",
)  # fmt: skip
PLACES = (
    "at the market", "in the workshop", "at school", "in the cellar", "at the depot",
    "behind the shop", "on the ferry", "in the garden", "at the fair", "by the station",
)  # fmt: skip
START_SENTENCES = (
    "{who} has {a} {things} {place}.", "There are {a} {things} {place}, and {who} counts them.",
    "{Place}, {who} finds {a} {things}.", "{who} starts the day with {a} {things} {place}.",
    "A delivery of {a} {things} waits for {who} {place}.",
)  # fmt: skip
PRODUCT_SENTENCES = (
    "{who} has {a} boxes with {b} {things} each {place}.",
    "{Place} stand {a} crates; {who} knows that every crate holds {b} {things}.",
    "{who} unpacks {a} bags {place}, each with {b} {things}.",
)  # fmt: skip
# Each step: its name and what may be said; {k} is its number.
STEP_SENTENCES = {
    "add": (
        "{k} more arrive.", "A neighbour brings {k} others.", "Then {k} are added.",
        "Later {k} turn up in a drawer.",
    ),
    "take": (
        "{k} of them are sold.", "{k} break and are thrown away.", "A friend takes {k}.",
        "{k} are lost on the way.",
    ),
    "times": (
        "Overnight the number grows to {k} times as many.",
        "A second delivery makes it {k} times as many.",
    ),
    "share": (
        "The rest is split evenly among {k} shelves, and only one shelf is kept.",
        "They are divided into {k} equal heaps; all heaps but one are given away.",
    ),
    "if_more": (
        "If there are more than {k} now, ten are put aside; otherwise none are.",
        "Should more than {k} be left, ten go to the museum; if not, nothing happens.",
    ),
}  # fmt: skip
CLOSING_QUESTIONS = (
    "How many {things} are there in the end?", "How many {things} does {who} have now?",
    "With how many {things} does it end?", "What is the number of {things} at the close?",
)  # fmt: skip
