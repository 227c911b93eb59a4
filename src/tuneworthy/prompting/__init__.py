"""How prompts are written: messages, shots, label and schema text, grammar. Knows no model."""
