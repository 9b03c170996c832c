"""Samples as lm-eval logs them."""

from __future__ import annotations

from typing import Any


def chosen(i: int, bad: float, good: float, **changes: Any) -> dict[str, Any]:
    """A sample of a multiple-choice task, as lm-eval 0.4.13 writes it; its choices in another order than ours."""
    return {
        "doc_id": i,
        "doc": {"review": f"t{i}", "label": "good", "key": f"e{i}"},
        "target": "1",
        "arguments": {
            "gen_args_0": {"arg_0": f"Review: t{i}", "arg_1": " good"},
            "gen_args_1": {"arg_0": f"Review: t{i}", "arg_1": " bad"},
        },
        "resps": [[[str(good), "False"]], [[str(bad), "False"]]],
        "filtered_resps": [[str(good), "False"], [str(bad), "False"]],
        "filter": "none",
        "acc": 1.0,
        **changes,
    }
