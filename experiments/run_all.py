"""Run experiments on claims in one process, which opens the model once; a failure stops no other.

usage: run_all.py [NAME ...]   NAME is a file without .py; none: all but E6, by their cost
"""

from __future__ import annotations

import sys
import time
import traceback
from importlib import import_module

from _claim import main

ORDER = (
    "e04_new_facts_harm_known", "e12_student_near_teacher", "e09_clean_against_noisy",
    "e03_tuning_teaches_facts", "e08_tuning_and_made_up_answers", "e07_changing_facts",
    "e11_simpler_tool", "e05_few_rows_harm", "e18_format_tax", "e01_format_at_temperature",
    "e14_lora_against_full", "e16_share_of_replay", "e13_divergence_tells_harm",
    "e17_retrieval_and_tuning", "e02_prompting_reach", "e15_rank_and_patterns",
)  # fmt: skip


def run_all(names: list[str]) -> None:
    """Run the experiments one after the other."""
    for name in names:
        print(f"== {time.strftime('%H:%M:%S')} {name}", flush=True)
        script = import_module(name)
        sys.argv = [f"{name}.py"]
        try:
            main(script)
        except Exception:  # one that fails must not keep the others from running
            traceback.print_exc()


if __name__ == "__main__":
    run_all(sys.argv[1:] or list(ORDER))
