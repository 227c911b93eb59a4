"""A study whose labels hang on many words: few rows show few of them, a teacher knows them all."""

import json
import random

from tests import studies

WORDS = {label: [f"{label[:2]}{n:02}x" for n in range(30)] for label in studies.LABELS}
LABEL_OF = {word: label for label, words in WORDS.items() for word in words}


def rows(n, seed):
    draw = random.Random(seed)
    made = []
    for at in range(n):
        label = draw.choice(studies.LABELS)
        word, number = draw.choice(WORDS[label]), draw.randint(1000, 9999)
        text = f"order {number} asks about {word} since {draw.choice(['may', 'june', 'july'])}"
        made.append({"id": f"{seed}-{at}", "input": text, "output": label})
    return made


def label(text):
    """Return what the teacher says of an input."""
    return next((LABEL_OF[word] for word in text.split() if word in LABEL_OF), "warranty")


def write(folder, teacher, *arms, train=24, test=90, free=90, **task):
    """Write the study: `train` labelled rows, `test` scored ones, `free` inputs without answers.

    Without a teacher it has no inputs without answers either.
    """
    folder.mkdir(parents=True, exist_ok=True)
    studies.lines(folder / "train.jsonl", rows(train, 1))
    studies.lines(folder / "test.jsonl", rows(test, 2))
    inputs = [{"id": row["id"], "input": row["input"]} for row in rows(free, 3)]
    studies.lines(folder / "free.jsonl", inputs)
    studies.lines(folder / "replies.jsonl", [{"when": "", "say": "warranty"}])
    keys = {
        "name": "taught",
        "data": {
            "train": "train.jsonl",
            "test": "test.jsonl",
            **({"unlabelled": "free.jsonl"} if teacher else {}),
        },
        "output": {"type": "label", "labels": list(studies.LABELS), "max_tokens": 8},
        "model": studies.MODEL,
        **({"teacher": teacher} if teacher else {}),
        "arms": list(arms),
        "seeds": 1,
        **task,
    }
    path = folder / "task.yaml"
    path.write_text(json.dumps(keys), "utf-8")
    return path
