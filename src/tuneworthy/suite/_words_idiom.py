"""The words of `house_idiom`: kinds of records, functions on them, and wordings of a request."""

from __future__ import annotations

from typing import NamedTuple


class RecordKind(NamedTuple):
    """A kind of record: its plural and singular, its numeric fields, its boolean fields."""

    plural: str
    singular: str
    amounts: tuple[str, ...]
    flags: tuple[str, ...]


class Function(NamedTuple):
    """A function to write: templates of its name, request, return type, docstring and body."""

    name: str
    request: str
    returns: str
    docstring: str
    body: str


RECORD_KINDS = (
    RecordKind("parcels", "parcel", ("weight", "height", "fee"), ("paid", "fragile")),
    RecordKind("tickets", "ticket", ("price", "row"), ("sold", "printed")),
    RecordKind("books", "book", ("pages", "price", "copies"), ("lent", "signed")),
    RecordKind("trees", "tree", ("height", "age"), ("fallen", "marked")),
    RecordKind("trips", "trip", ("distance", "cost", "days"), ("booked", "shared")),
    RecordKind("rooms", "room", ("area", "beds"), ("clean", "heated")),
    RecordKind("invoices", "invoice", ("total", "tax", "days"), ("open", "disputed")),
    RecordKind("songs", "song", ("length", "plays"), ("live", "hidden")),
    RecordKind("plants", "plant", ("height", "pots"), ("thirsty", "indoor")),
    RecordKind("loans", "loan", ("amount", "rate", "months"), ("late", "frozen")),
    RecordKind("shifts", "shift", ("hours", "wage"), ("covered", "nightly")),
    RecordKind("boats", "boat", ("length", "seats"), ("moored", "insured")),
    RecordKind("games", "game", ("score", "minutes"), ("won", "away")),
    RecordKind("sensors", "sensor", ("reading", "drift"), ("broken", "outdoor")),
)
# Used if a task has more rows than the kinds above have functions.
MORE_RECORD_KINDS = (
    RecordKind("lamps", "lamp", ("watts", "lumens", "price"), ("lit", "dimmed")),
    RecordKind("meals", "meal", ("calories", "grams", "price"), ("vegan", "spicy")),
    RecordKind("flights", "flight", ("miles", "seats", "delay"), ("direct", "full")),
    RecordKind("cows", "cow", ("litres", "weight", "age"), ("tagged", "grazing")),
    RecordKind("courses", "course", ("credits", "weeks", "places"), ("online", "graded")),
    RecordKind("houses", "house", ("floors", "rent", "area"), ("let", "insulated")),
    RecordKind("emails", "email", ("words", "links", "replies"), ("read", "flagged")),
    RecordKind("films", "film", ("length", "rating", "budget"), ("dubbed", "classic")),
    RecordKind("bikes", "bike", ("gears", "weight", "price"), ("folded", "electric")),
    RecordKind("nurses", "nurse", ("hours", "wards", "wage"), ("trained", "resting")),
    RecordKind("servers", "server", ("load", "cores", "uptime"), ("reachable", "patched")),
    RecordKind("bridges", "bridge", ("span", "lanes", "age"), ("gated", "lighted")),
    RecordKind("farms", "farm", ("hectares", "yield", "debt"), ("organic", "leased")),
    RecordKind("letters", "letter", ("pages", "postage", "weight"), ("sealed", "stamped")),
    RecordKind("hotels", "hotel", ("rooms", "stars", "rate"), ("booked", "central")),
    RecordKind("engines", "engine", ("power", "torque", "mileage"), ("tuned", "leaking")),
    RecordKind("dogs", "dog", ("weight", "age", "walks"), ("chipped", "muzzled")),
    RecordKind("wells", "well", ("depth", "flow", "cost"), ("dry", "capped")),
    RecordKind("towns", "town", ("people", "schools", "tax"), ("walled", "coastal")),
    RecordKind("bottles", "bottle", ("volume", "price", "age"), ("corked", "chilled")),
    RecordKind("matches", "match", ("goals", "minutes", "fans"), ("drawn", "televised")),
    RecordKind("paintings", "painting", ("width", "price", "age"), ("framed", "stolen")),
    RecordKind("phones", "phone", ("storage", "charge", "price"), ("locked", "cracked")),
    RecordKind("tents", "tent", ("beds", "weight", "price"), ("pitched", "waterproof")),
    RecordKind("pumps", "pump", ("pressure", "hours", "noise"), ("running", "rusty")),
    RecordKind("claims", "claim", ("amount", "days", "pages"), ("settled", "appealed")),
    RecordKind("studios", "studio", ("area", "rent", "lights"), ("shared", "soundproof")),
    RecordKind("vans", "van", ("load", "mileage", "seats"), ("parked", "cooled")),
    RecordKind("prizes", "prize", ("value", "entries", "rounds"), ("won", "secret")),
    RecordKind("gardens", "garden", ("area", "beds", "trees"), ("fenced", "public")),
    RecordKind("ovens", "oven", ("heat", "racks", "watts"), ("preheated", "greasy")),
    RecordKind("scripts", "script", ("lines", "runs", "errors"), ("tested", "scheduled")),
)
FUNCTIONS = (
    Function(
        "total_{amount}",
        "returns the sum of `{amount}` over the {many} that are {flag}",
        "float",
        "Return the total {amount} of the {many} that are {flag}.",
        'return sum({one}["{amount}"] for {one} in {many} if {one}["{flag}"])',
    ),
    Function(
        "count_{flag}",
        "counts the {many} that are {flag} and have `{amount}` above {n}",
        "int",
        "Return how many {many} are {flag} and have more {amount} than {n}.",
        'return sum({one}["{flag}"] and {one}["{amount}"] > {n} for {one} in {many})',
    ),
    Function(
        "highest_{amount}",
        "returns the largest `{amount}` of the {many} that are {flag}, or {n} if there is none",
        "float",
        "Return the highest {amount} of the {many} that are {flag}, {n} without any.",
        'return max(({one}["{amount}"] for {one} in {many} if {one}["{flag}"]), default={n})',
    ),
    Function(
        "names_by_{amount}",
        "returns the `name` of each of the {many} that are {flag}, in order of `{amount}`",
        "list[str]",
        "Return the names of the {many} that are {flag}, smallest {amount} first.",
        'chosen = [{one} for {one} in {many} if {one}["{flag}"]]\n'
        '    return [{one}["name"] for {one} in sorted(chosen, key=itemgetter("{amount}"))]',
    ),
    Function(
        "{amount}_by_name",
        "maps the `name` of the {many} that are not {flag} to their `{amount}`",
        "dict[str, float]",
        "Return the {amount} of the {many} that are not {flag}, by name.",
        'return {{{one}["name"]: {one}["{amount}"] for {one} in {many} if not {one}["{flag}"]}}',
    ),
    Function(
        "any_{flag}_over",
        "says whether any of the {many} is {flag} with a `{amount}` of at least {n}",
        "bool",
        "Return whether a {one} is {flag} and has a {amount} of {n} or more.",
        'return any({one}["{flag}"] and {one}["{amount}"] >= {n} for {one} in {many})',
    ),
    Function(
        "mean_{amount}",
        "returns the average `{amount}` of the {many} that are {flag}, and {n} if there are none",
        "float",
        "Return the mean {amount} of the {many} that are {flag}, {n} without any.",
        'values = [{one}["{amount}"] for {one} in {many} if {one}["{flag}"]]\n'
        "    return sum(values) / len(values) if values else {n}",
    ),
)
REQUEST_WORDINGS = (
    "Write `{call}`: it {asked}.",
    "Write a Python function `{call}` that {asked}.",
    "We need `{call}`. It {asked}.",
    "Please add `{call}`, which {asked}.",
    "`{call}` {asked}. Write it.",
)
