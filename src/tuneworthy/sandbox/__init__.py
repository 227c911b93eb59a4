"""Run untrusted code and schemas in a child process that can be killed. Knows no task."""
