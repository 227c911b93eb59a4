"""The inference servers that tuneworthy can start for a model, one plug-in a server.

`model: KIND:ORG/NAME` starts the server of that kind in an environment of its own, on 127.0.0.1,
and calls it through the OpenAI-compatible client. A server's module defines

    PROGRAM        the words of its start command, unless TUNEWORTHY_KIND gives others
    HEALTH         the path that answers 200 once the server is ready
    command(program, model, port)   the whole start command; it never contains the key
    environment(key)                the environment variables to add, with the key
    TOKENS         the path that renders messages as token ids, "" without one: with it, labels are
                   scored by /v1/completions, which must then score a given text (`echo`)
    ADAPTERS       the path that loads an adapter's folder under a name, "" without one
    tuned_name(model, adapter)      the model name in requests to a model with an adapter

TUNEWORTHY_KIND is a command (`/opt/vllm/bin/vllm`) or the address of a running server.
"""
