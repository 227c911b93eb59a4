"""The words of `house_voice`: what customers write, what the desk decided, how it is said."""

from __future__ import annotations

from typing import NamedTuple


class MessageKind(NamedTuple):
    """One kind of message: the customer's text, the desk's note, and the reply's middle part.

    `demands` are the phrases that a reply must contain because of the note.
    """

    messages: tuple[str, ...]
    note: str
    replies: tuple[str, ...]
    required_phrases: tuple[str, ...]


MESSAGE_SHAPES = (
    "{name} writes: {text} (order {order})\nDesk note: {note}",
    "From {name}, order {order}: {text}\nDesk note: {note}",
    "{text} Regards, {name}. My order is {order}.\nDesk note: {note}",
    "Order {order}. {text} {name}\nDesk note: {note}",
    "Hi, {name} here. {text} It is order {order}.\nDesk note: {note}",
)
REPLY_OPENERS = (
    "Hello {name}!",
    "Hello {name}, lovely to hear from you!",
    "Hello {name}, good of you to ask!",
    "Hello {name}, thank you for the nudge!",
)
REPLY_CLOSERS = (
    "Order {order} is in safe hands. Warmly, your Fernhill crew",
    "We have pinned {order} to our board. Warmly, your Fernhill crew",
    "Just say {order} if you call us. Warmly, your Fernhill crew",
    "{order} stays on our desk until it is done. Warmly, your Fernhill crew",
)
FORBIDDEN_WORDS = ("unfortunately", "apologize", "apologise", "Dear customer", "inconvenience")
MESSAGE_KINDS = (
    MessageKind(
        ("My {item} still has not come.", "Where is the {item} I paid for?",
         "I wait for my {item} since {day}.", "No sign of the {item} yet, what is going on?"),
        "{item} found at the depot, arrives {when}",
        ("Your {item} took the scenic route; it knocks at your door on {when}.",
         "We tracked your {item} down, and it arrives on {when}.",
         "Good news first: your {item} is on the van and arrives on {when}."),
        ("{item}", "{when}"),
    ),
    MessageKind(
        ("The {item} arrived broken.", "My {item} has a crack right through it.",
         "The {item} stopped working on {day}.", "The {item} came dented on one side."),
        "send new {item}, arrives {when}, old one may be kept",
        ("A new {item} is on its way and arrives on {when}; do keep the old one.",
         "We have packed a new {item} for you, it lands on {when}, and the old one is yours.",
         "Consider it mended: a new {item} arrives on {when}. The old one? Keep it."),
        ("new {item}", "{when}"),
    ),
    MessageKind(
        ("Please give me my money back for the {item}.", "I sent the {item} back and saw no money.",
         "I changed my mind about the {item} on {day}.", "I want to be paid back for the {item}."),
        "refund {sum} euros for {item}, on the card by {when}",
        ("The {sum} euros for your {item} fly back to your card by {when}.",
         "We have sent {sum} euros on their way; your card sees them by {when}. Farewell, {item}!",
         "Done and dusted: {sum} euros for the {item}, back on your card by {when}."),
        ("{sum} euros", "{when}"),
    ),
    MessageKind(
        ("You sent me the wrong {item}.", "This is not the {item} from the picture.",
         "The {item} is a different model than I chose.", "Somebody else's {item} was in the box."),
        "courier fetches wrong {item} {when}, right one comes with him",
        ("Our courier swaps your {item} for the right one on {when}.",
         "On {when} a courier rings, takes that {item} along and hands you the right one.",
         "Swap day is {when}: the courier brings the right {item} and takes the other."),
        ("{item}", "courier", "{when}"),
    ),
    MessageKind(
        ("I was charged twice for the {item}.", "The bill for the {item} is too high.",
         "My card was debited {sum} euros too much for the {item}.",
         "The discount on the {item} is missing from my bill."),
        "bill for {item} corrected, {sum} euros back by {when}",
        ("Our sums were off by {sum} euros for the {item}; they are back with you by {when}.",
         "We have put the bill for your {item} right: {sum} euros come home by {when}.",
         "Well spotted! By {when} you have {sum} euros back for the {item}."),
        ("{sum} euros", "{when}"),
    ),
)  # fmt: skip
