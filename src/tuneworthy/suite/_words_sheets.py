"""The words of `changing_facts`: product names, what a data sheet states, how people ask for it."""

from __future__ import annotations

FIRST_PARTS = (
    "Alba", "Breno", "Corvi", "Delmo", "Ester", "Fendo", "Galva", "Hexa", "Istra", "Jovan",
    "Kelmi", "Lumo", "Marva", "Nexo", "Orlan",
)  # fmt: skip
LAST_PARTS = (
    "bright", "crest", "dale", "fjord", "gate", "haven", "lock", "mount", "pulse", "ridge",
    "stream", "wick",
)  # fmt: skip
# Unit, lowest and highest value, the sentence of a sheet, the questions that ask for it.
ATTRIBUTES = {
    "warranty": ("months", 6, 84, "The warranty runs {v} months.",
        ("How many months of warranty does the {p} have?", "What is the warranty on the {p}?")),
    "weight": ("grams", 150, 4900, "It weighs {v} grams without the case.",
        ("How heavy is the {p}?", "I have to post a {p}; how many grams is that?")),
    "battery": ("hours", 4, 96, "One charge lasts {v} hours.",
        ("How long does a charge of the {p} last?", "Battery time of the {p}, please?")),
    "price": ("euros", 19, 990, "The list price is {v} euros.",
        ("What does the {p} cost?", "A customer wants the list price of the {p}. How much?")),
    "depth": ("metres", 2, 60, "It is sealed down to {v} metres of water.",
        ("How deep under water may the {p} go?", "Is the {p} waterproof, and to what depth?")),
    "charging": ("minutes", 15, 240, "A full charge takes {v} minutes.",
        ("How long must I charge the {p}?", "Charging time for a {p} from empty?")),
    "noise": ("decibels", 18, 72, "At full power it makes {v} decibels.",
        ("How loud is the {p}?", "Noise level of the {p} at full power?")),
    "range": ("kilometres", 1, 45, "Its radio reaches {v} kilometres.",
        ("How far does the radio of the {p} reach?", "What range has the {p}?")),
    "storage": ("gigabytes", 4, 900, "It stores {v} gigabytes.",
        ("How much can the {p} store?", "What size is the memory of the {p}?")),
    "filter": ("weeks", 3, 52, "Its filter is changed every {v} weeks.",
        ("When is the filter of a {p} due?", "How often do I change the {p} filter?")),
}  # fmt: skip
SHEET_OPENINGS = (
    "{p}, data sheet, edition {e} of {day}.", "Edition {e} ({day}) of the {p} sheet.",
    "Product sheet {p}. Valid from {day}, edition {e}.",
)  # fmt: skip
QUESTION_OPENINGS = (
    "", "Hello, ", "From the shop floor: ", "Quick one: ", "For the catalogue: ",
    "Somebody on the phone asks: ", "We print labels today. ", "As of now, ",
)  # fmt: skip
