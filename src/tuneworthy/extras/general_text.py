"""Prompts for general text, which the base model itself continues. Pure.

There is nothing to license or download. A model's own text is what it finds likely, so a higher
loss on it is a loss of what the model could do before.
"""

from __future__ import annotations

from tuneworthy.core.case import Message

GENERAL_TOKENS = 48  # tokens generated per prompt
REQUESTS = (
    "Explain in two sentences how {} works.",
    "Write three short tips for someone who is new to {}.",
    "Tell a short story in which {} plays a part.",
    "What are the advantages and disadvantages of {}?",
)  # fmt: skip
TOPICS = (
    "a bicycle", "a lighthouse", "baking bread", "a public library", "the tides", "a market stall",
    "learning a language", "a vegetable garden", "a railway station", "playing chess",
    "the seasons", "a weather forecast", "repairing a chair", "a choir", "long walks",
    "a small museum",
)  # fmt: skip
OPENINGS = ("The history of {} begins", "Many people think that {}")


def chat_prompts() -> list[tuple[Message, ...]]:
    """Return 64 one-turn conversations: every request about every topic."""
    return [
        (Message(role="user", content=ask.format(topic)),) for ask in REQUESTS for topic in TOPICS
    ]


def openings() -> list[str]:
    """Return 32 openings of plain text, to be continued without a chat template."""
    return [text.format(topic) for text in OPENINGS for topic in TOPICS]
