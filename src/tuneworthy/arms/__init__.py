"""One way to get answers a file, with its placebo. Never sees a scored case's answer."""
