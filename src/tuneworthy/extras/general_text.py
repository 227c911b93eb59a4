"""General text that is nobody's: prompts made here, and what the base itself writes after them.

Nothing to licence and nothing to fetch (decision rule of the harm check). A model's own writing is
what it finds likely, so a loss of it is a loss of what the model could do before. Pure.
"""

from __future__ import annotations

from tuneworthy.core.case import Message

ROOM = 48  # tokens written after each beginning
ASKS = (
    "Explain in two sentences how {} works.",
    "Write three short tips for someone who is new to {}.",
    "Tell a short story in which {} plays a part.",
    "What are the advantages and disadvantages of {}?",
)
TOPICS = (
    "a bicycle", "a lighthouse", "baking bread", "a public library", "the tides", "a market stall",
    "learning a language", "a vegetable garden", "a railway station", "playing chess",
    "the seasons", "a weather forecast", "repairing a chair", "a choir", "long walks",
    "a small museum",
)  # fmt: skip
PLAIN = (
    "The history of {} begins",
    "Many people think that {}",
)


def chats() -> list[tuple[Message, ...]]:
    """Return 64 one-turn conversations: every ask about every topic."""
    return [(Message(role="user", content=ask.format(topic)),) for ask in ASKS for topic in TOPICS]


def openings() -> list[str]:
    """Return 32 beginnings of plain text, continued without a chat template."""
    return [text.format(topic) for text in PLAIN for topic in TOPICS]
