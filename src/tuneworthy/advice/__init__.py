"""Score advisers on measured tasks: who predicts the winning tool, and what following costs."""
