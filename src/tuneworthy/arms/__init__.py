"""Arms: each file is one way to get answers, with its placebo. No arm sees a scored answer."""
