"""The steps of each command, one flow a file; what a study has open, and what its hash covers."""
