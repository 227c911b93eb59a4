"""Read the matrix across: why the base arm fails, and which remedy acted beyond its placebo."""
