"""Read the matrix down: each arm's score, paired differences, bounds, costs and limits. Pure."""
