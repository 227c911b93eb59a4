"""Inference servers that tuneworthy starts for a model, one plug-in a server.

`model: KIND:ORG/NAME` starts the server of that kind in an environment of its own, on 127.0.0.1,
and asks it through the OpenAI-compatible client. A server has

    PROGRAM        the words that start it where TUNEWORTHY_KIND names no other
    HEALTH         the path that answers 200 once it can be asked
    command(program, model, port)   its whole command; the key never stands in it
    environment(key)                what it reads from the environment, the key included

TUNEWORTHY_KIND is a command (`/opt/vllm/bin/vllm`) or the address of a running server.
"""
