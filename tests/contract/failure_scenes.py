"""Facts by failure mode on which its detector finds it, finds nothing, and cannot measure."""

from tuneworthy.records.failure import RunFacts

SCENES = {
    "rate_too_high": {
        "found": [
            RunFacts(loss_first=2.8, loss_least=1.2, loss_last=4.0),
            RunFacts(loss_first=4.9, loss_peak=38.4, loss_least=2.9, loss_last=3.04),
            RunFacts(refused="the loss or its gradient is not finite: loss nan"),
        ],
        "clean": [RunFacts(loss_first=2.8, loss_least=0.06, loss_last=0.09)],
        "missing": [RunFacts(change=0.01)],
    },
    "rate_too_low": {
        "found": [
            RunFacts(change=1e-5, loss_first=2.8, loss_last=2.7),
            RunFacts(change=1e-5),
            RunFacts(loss_first=2.8, loss_last=2.7),
        ],
        "clean": [
            RunFacts(change=0.01, loss_first=2.8, loss_last=0.1),
            RunFacts(change=1e-5, loss_first=2.8, loss_last=0.1),
        ],
        "missing": [RunFacts(same_as_base=1.0)],
    },
    "rank_too_low": {
        "found": [
            RunFacts(parameters=768, answer_tokens=960, loss_last=1.2),
            RunFacts(parameters=768, answer_tokens=960),
        ],
        "clean": [
            RunFacts(parameters=4_884_480, answer_tokens=960, loss_last=0.02),
            RunFacts(parameters=768, answer_tokens=960, loss_last=0.02),
            RunFacts(parameters=4_884_480, answer_tokens=960, loss_last=1.2),
        ],
        "missing": [RunFacts(answer_tokens=960), RunFacts(parameters=768)],
    },
    "adapter_not_served": {
        "found": [
            RunFacts(same_as_base=1.0, change=0.01, loss_first=2.8, loss_last=0.1),
            RunFacts(same_as_base=1.0, change=0.01),
        ],
        "clean": [
            RunFacts(same_as_base=0.0, change=0.01, loss_first=2.8, loss_last=0.1),
            RunFacts(same_as_base=1.0, change=1e-6, loss_first=2.8, loss_last=2.7),
        ],
        "missing": [RunFacts(change=0.01, loss_first=2.8, loss_last=0.1), RunFacts(same_as_base=1)],
    },
    "too_many_epochs": {
        "found": [RunFacts(loss_last=0.02, new_loss_least=1.0, new_loss_last=1.6)],
        "clean": [
            RunFacts(loss_last=0.9, new_loss_least=1.0, new_loss_last=1.02),
            RunFacts(loss_last=4.0, new_loss_least=1.0, new_loss_last=4.0),
        ],
        "missing": [RunFacts(loss_last=0.02)],
    },
    "test_rows_leaked": {
        "found": [RunFacts(leaked=1.0), RunFacts(leaked=0.1)],
        "clean": [RunFacts(leaked=0.0), RunFacts(leaked=0.05)],
        "missing": [RunFacts(score=0.9)],
    },
    "wrong_labels": {
        "found": [RunFacts(conflicts=0.1)],
        "clean": [RunFacts(conflicts=0.0), RunFacts(conflicts=0.01)],
        "missing": [RunFacts(outliers=0.3)],
    },
    "mixed_formats": {
        "found": [RunFacts(shapes=0.5), RunFacts(shapes=0.12)],
        "clean": [RunFacts(shapes=0.0), RunFacts(shapes=0.91)],
        "missing": [RunFacts(valid=0.5)],
    },
    "new_facts_forget": {
        "found": [RunFacts(other={"known_score_before": 0.8, "known_score": 0.3})],
        "clean": [RunFacts(other={"known_score_before": 0.8, "known_score": 0.78})],
        "missing": [RunFacts(), RunFacts(other={"known_score": 0.3})],
    },
    "end_not_trained": {
        "found": [RunFacts(end_trained=0.0, p_end=0.2), RunFacts(end_trained=0.0)],
        "clean": [RunFacts(end_trained=1.0, p_end=0.99), RunFacts(end_trained=0.0, p_end=0.99)],
        "missing": [RunFacts(p_end=0.2)],
    },
    "rating_rewarded": {
        "found": [RunFacts(other={"chosen_wrong": 0.7})],
        "clean": [RunFacts(other={"chosen_wrong": 0.0}), RunFacts(other={"chosen_wrong": 0.2})],
        "missing": [RunFacts(score=0.2)],
    },
    "model_too_small": {
        "found": [RunFacts(other={"general_loss_before": 9.1})],
        "clean": [RunFacts(other={"general_loss_before": 2.2})],
        "missing": [RunFacts(score=0.2)],
    },
}
