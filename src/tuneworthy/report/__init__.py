"""What people see of a study: terminal, one HTML page, JSON. Computes no statistics."""
