"""A ledger in memory, for tests that need only its frozen values."""


class MemoryLedger:
    """Keep the first value that is frozen under each (study, kind)."""

    def __init__(self):
        self.values = {}

    def freeze(self, study, kind, value):
        return self.values.setdefault((study, kind), value)

    def frozen(self, study, kind):
        return self.values.get((study, kind))
