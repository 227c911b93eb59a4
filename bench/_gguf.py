"""Ask a GGUF file through OpenVINO GenAI, a peer in the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def open_vino(file: Path, precision: str | None = None) -> Any:
    """Return a function (prompts as ids, room, schema=None, ends=()) -> the ids of each answer.

    OpenVINO GenAI on the CPU, greedy, continuous batching, shared prompts read once. `precision`
    is its hint (f32); without one it chooses by itself. With neither `ends` nor a schema every
    answer takes all its room. Raises ImportError where openvino-genai is not installed.
    """
    import openvino
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.cache_size, scheduler.enable_prefix_caching = 2, True
    scheduler.max_num_batched_tokens, scheduler.max_num_seqs = 2048, 64
    hint = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
    pipe = genai.ContinuousBatchingPipeline(str(file), scheduler, "CPU", hint)

    def ask(prompts: Any, room: int, *, schema: Any = None, ends: Any = ()) -> list[list[int]]:
        config = genai.GenerationConfig()
        config.max_new_tokens, config.do_sample = room, False
        config.ignore_eos = not ends and schema is None
        config.stop_token_ids = set(ends)
        if schema is not None:
            held = genai.StructuredOutputConfig()
            held.json_schema = json.dumps(schema)
            config.structured_output_config = held
        given = [openvino.Tensor(np.array([ids], dtype=np.int64)) for ids in prompts]
        done = pipe.generate(given, [config] * len(given))
        return [list(one.m_generation_ids[0]) for one in done]

    return ask
