"""Build prompts: messages, shots, label and schema text, grammar. Knows no model."""
