"""General questions with short answers, which measure and protect what a model could do before.

The first PROBES are only measured; the others may be mixed into the training rows (replay).
"""

from __future__ import annotations

from tuneworthy.core.case import Message
from tuneworthy.core.failure import LabRow

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
    """Return the questions that only measure the model; no run trains on them."""
    return tuple(_question_row(at) for at in range(PROBE_COUNT))


def replay_rows(count: int) -> tuple[LabRow, ...]:
    """Return `count` rows of the other questions, repeated from the first if they are too few."""
    rest = len(_QUESTIONS_AND_ANSWERS) - PROBE_COUNT
    return tuple(_question_row(PROBE_COUNT + at % rest) for at in range(count))


def _question_row(at: int) -> LabRow:
    asked, answer = _QUESTIONS_AND_ANSWERS[at]
    return LabRow(f"general {at}", (Message(role="user", content=asked),), answer)
