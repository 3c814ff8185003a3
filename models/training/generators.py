"""Every source of chance in a run, so that a resumed one draws what an uninterrupted one would.

In: nothing, or a state that was taken before. Out: Python's, numpy's and torch's generators (all
devices) and those that the caller names, as values that `torch.save` stores without pickling code.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

Generators = Mapping[str, torch.Generator]


def state(named: Generators) -> dict[str, Any]:
    """The state of all of them."""
    numpy_state = np.random.get_state(legacy=False)
    assert isinstance(numpy_state, dict)
    words = numpy_state["state"]
    return {
        "python": random.getstate(),
        "numpy": {
            **numpy_state,
            "state": {"key": torch.from_numpy(words["key"].copy()), "pos": words["pos"]},
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "named": {name: generator.get_state() for name, generator in named.items()},
    }


def restore(saved: Mapping[str, Any], named: Generators) -> None:
    """Put them back. Raises KeyError where a named one was not saved."""
    random.setstate(saved["python"])
    words = saved["numpy"]["state"]
    key = words["key"].cpu().numpy()
    np.random.set_state({**saved["numpy"], "state": {"key": key, "pos": words["pos"]}})
    torch.set_rng_state(saved["torch"].cpu())
    if saved["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in saved["cuda"]])
    for name, generator in named.items():
        generator.set_state(saved["named"][name].cpu())
