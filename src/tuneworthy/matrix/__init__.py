"""Arms x cases: plan, measure, compare. Opens the sealed side; knows no verdict."""
