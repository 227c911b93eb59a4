"""A small bench on disk: cases cut into two folds, a ledger, models as given."""

from contextlib import contextmanager

from tuneworthy.measure.answering import Runner
from tuneworthy.metrics import scorer
from tuneworthy.records.case import Case, Message
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.plugins import load
from tuneworthy.records.run import Spec
from tuneworthy.rows.folds import Part, Split
from tuneworthy.rows.sealed import Sealed
from tuneworthy.store.store import open_ledger

NAMES = "Ann Bob Carl Dora Eve Finn Gina Hugo Ida Jon Kim Leo Mia Ned Oda Pam".split()  # noqa: SIM905


def cases(count, labels):
    found = []
    for number in range(count):
        label, name = labels[number % len(labels)], NAMES[number // 3 % len(NAMES)]
        text = f"{name} writes about {label}, order {number * 37 % 1000}."
        found.append(
            Case(id=f"c{number:03}", messages=(Message(role="user", content=text),), output=label)
        )
    return found


@contextmanager
def bench_of(folder, task, rows, models):
    """Two folds; half of the other fold's rows are dev rows."""
    ids = [case.id for case in rows]
    parts = []
    for fold in (0, 1):
        others = ids[1 - fold :: 2]
        parts.append(
            Part(train=tuple(others[::2]), dev=tuple(others[1::2]), test=tuple(ids[fold::2]))
        )
    with open_ledger(folder) as ledger:
        yield Runner(
            task=task.at(folder),
            study="study",
            split=Split(k=2, parts=tuple(parts)),
            sealed=Sealed(rows, lambda door, purpose: None),
            learn_cases={case.id: case for case in rows},
            models=models,
            ledger=ledger,
            metric=scorer(task),
            metric_digest="m",
            timed=False,
        )


def planned(name, bench, **options):
    arm = load("arms", name)
    spec = Spec(name=name, arm=name, options=arm.Options(**options).plain(), tool=arm.TOOL or None,
                role=arm.ROLE, simplicity=arm.SIMPLICITY)  # fmt: skip
    return PlannedArm(spec=spec, folds=tuple(range(bench.split.k)), seeds=(0,))
