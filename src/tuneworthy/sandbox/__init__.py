"""Code and schemas of others, run in a child process that can be killed. Knows no task."""
