"""One engine a file behind the `Model` protocol. Knows no task, no arm and no metric."""
