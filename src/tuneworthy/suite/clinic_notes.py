"""Free-text notes of a clinic to a JSON record: person, complaint, medicine, allergy, review."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tuneworthy.suite._made import (
    LORA_OPTIONS,
    GeneratedTask,
    draw_distinct,
    load_words,
    two_thirds,
)

WORDS = load_words("clinic")

FIELDS = (
    "age", "sex", "complaint", "days", "drug", "mg", "per_day", "allergy", "review_days",
)  # fmt: skip
_NUMBER_SCHEMA = {"type": ["integer", "null"], "minimum": 0, "maximum": 9999}
SCHEMA = {
    "type": "object",
    "properties": {
        "age": _NUMBER_SCHEMA,
        "sex": {"enum": ["f", "m"]},
        "complaint": {"enum": list(WORDS.complaints)},
        "days": _NUMBER_SCHEMA,
        "drug": {"type": ["string", "null"], "maxLength": 20},
        "mg": _NUMBER_SCHEMA,
        "per_day": _NUMBER_SCHEMA,
        "allergy": {"type": ["string", "null"], "maxLength": 20},
        "review_days": _NUMBER_SCHEMA,
    },
    "required": list(FIELDS),
    "additionalProperties": False,
}
TASK = {
    "name": "clinic-notes",
    "instruction": "Read the note and answer with a JSON record that follows the schema."
    " Use null for what the note does not say.",
    "output": {"type": "json", "schema": "schema.json", "max_tokens": 80},
    "success": {"metric": "fields_f1", "margin": 0.10},
    "arms": ["majority", "zero_shot", "few_shot", "constrained", {"lora": LORA_OPTIONS}],
    "seeds": 1,
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return a task of n notes with their records; every medicine and every note is invented."""
    rng = Random(f"clinic_notes {seed}")
    rows = draw_distinct(n, lambda i: _draw_row(rng))
    return GeneratedTask(
        tuple(rows), TASK, "format", two_thirds(n), "Clinic notes", str(__doc__), schema=SCHEMA
    )


def _draw_row(rng: Random) -> dict[str, Any]:
    sex, complaint = rng.choice("fm"), rng.choice(list(WORDS.complaints))
    record: dict[str, Any] = {
        "age": rng.randrange(18, 95),
        "sex": sex,
        "complaint": complaint,
        "days": rng.randrange(2, 40) if rng.random() < 0.8 else None,
    }
    person = rng.choice(WORDS.people[sex])
    said = rng.choice(WORDS.complaints[complaint])
    if record["days"]:
        said += f" {rng.choice(WORDS.durations).format(n=record['days'])}"
    opening = rng.choice(WORDS.openings)
    names = {"person": person, "Person": person.capitalize(), "complaint": said}
    parts = [opening.format(age=record["age"], **names)]
    parts += rng.sample(WORDS.findings, rng.randrange(1, 4))
    parts += [_draw_allergy(rng, record), _draw_medicine(rng, record)]
    rest = parts[1:]
    rng.shuffle(rest)
    review = rng.randrange(3, 60) if rng.random() < 0.6 else None
    ending = rng.choice(WORDS.review_sentences).format(n=review) if review else ""
    text = ". ".join(part for part in (parts[0], *rest, ending) if part)
    ordered = {key: record.get(key) for key in FIELDS} | {"review_days": review}
    return {"input": f"{text}.", "output": json.dumps(ordered, separators=(",", ":"))}


def _draw_allergy(rng: Random, record: dict[str, Any]) -> str:
    """Return the sentence on allergies; set `allergy` in the record."""
    record["allergy"] = rng.choice(WORDS.allergens) if rng.random() < 0.5 else None
    if record["allergy"] is None:
        return str(rng.choice(WORDS.no_allergy_sentences))
    return str(rng.choice(WORDS.allergy_sentences)).format(it=record["allergy"])


def _draw_medicine(rng: Random, record: dict[str, Any]) -> str:
    """Return the sentence on medicine; set `drug`, `mg`, `per_day` in the record if given."""
    if rng.random() < 0.2:
        return str(rng.choice(WORDS.no_drug_sentences)).capitalize()
    drug, times = rng.choice(WORDS.drugs), rng.choice(list(WORDS.frequencies))
    record |= {"drug": drug, "mg": 5 * rng.randrange(1, 120), "per_day": int(times)}
    often = rng.choice(WORDS.frequencies[times])
    said = rng.choice(WORDS.dose_sentences).format(drug=drug, mg=record["mg"], often=often)
    return f"{said[0].upper()}{said[1:]}"
