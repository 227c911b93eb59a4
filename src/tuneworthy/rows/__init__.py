"""Read rows, documents and task files; audit, fingerprint and split them. Calls no model."""
