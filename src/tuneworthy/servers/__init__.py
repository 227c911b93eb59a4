"""Inference servers that tuneworthy starts for a model, one plug-in a server.

`model: KIND:ORG/NAME` starts the server of that kind in an environment of its own, on 127.0.0.1,
and asks it through the OpenAI-compatible client. A server has

    PROGRAM        the words that start it where TUNEWORTHY_KIND names no other
    HEALTH         the path that answers 200 once it can be asked
    command(program, model, port)   its whole command; the key never stands in it
    environment(key)                what it reads from the environment, the key included
    TOKENS         the path that renders messages as token ids, "" without one: with it, labels are
                   scored by /v1/completions, which must then score a given text (`echo`)
    ADAPTERS       the path that loads an adapter's folder under a name, "" without one
    tuned_name(model, adapter)      what requests call the model with an adapter

TUNEWORTHY_KIND is a command (`/opt/vllm/bin/vllm`) or the address of a running server.
"""
