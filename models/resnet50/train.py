"""Train the classifier: `sentinode models train resnet50 --data DIR [--data DIR ...]`.

In: folders of labelled mammograms (RSNA, mini-MIAS, ...), the configuration of `train.toml`. Out:
`OUT/weights.*.pt` and `OUT/log.jsonl`. What must hold: nothing is chosen on the validation side;
the weights are the averaged ones of the last step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import nn

from models.resnet50.batches import batches
from models.resnet50.network import ResNet50
from models.resnet50.objective import losses
from models.resnet50.samples import packed_stocks, stocks_of
from models.resnet50.settings import Config, Stage
from models.resnet50.validation import figures
from models.training import weights
from models.training.folds import Fold
from models.training.loop import begin, fit
from models.training.samples import pool_or_none

__all__ = ["Config", "prepare", "run"]

FIRST_STEP_SAMPLES = 200  # fewer would be learnt by heart while the others are being made


def run(
    config: Config,
    data: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    fold: Fold | None = None,
) -> Mapping[str, float]:
    """Train once and write the weights; without `data` from the packs of the configuration."""
    device = begin(config.fit)
    # Convolutions in half precision run on tensor cores in this order of axes.
    network = ResNet50().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights.start(network, config.initial)
    with pool_or_none(config.data.workers) as pool:
        if data or not config.data.packs:
            stocks = stocks_of(config.data, data, device, pool, fold)
        else:
            stocks = packed_stocks(Path(config.data.packs), device)
        training = {name: pair[0] for name, pair in stocks.items()}
        for stock in training.values():
            # Batches of a resumed run repeat only if they are drawn from as many samples.
            stock.complete() if resume else stock.wait(FIRST_STEP_SAMPLES)
        result = fit(
            network,
            partial(losses, settings=config.objective),
            partial(batches, stocks=training, config=config),
            config.fit.config(out, "resnet50", resume),
            partial(figures, stocks={name: pair[1] for name, pair in stocks.items()}),
            curriculum=Staged(config.stages),
        )
    weights.save(result.module, out)
    return result.metrics


class Staged:
    """Sets what a stage of the configuration says on whichever network it is shown."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages

    def __call__(self, module: nn.Module, share: float) -> None:
        stage = next((stage for stage in self._stages if share < stage.until), self._stages[-1])
        network = cast(ResNet50, module)
        network.deep, network.rows_px = stage.deep, stage.rows_px


def prepare(config: Config, data: Sequence[Path]) -> None:
    """Write the packs, train nothing. Raises ValueError where the configuration names no folder."""
    if not config.data.packs:
        raise ValueError("data.packs names no folder to keep the samples in")
    with pool_or_none(config.data.workers) as pool:
        for pair in stocks_of(config.data, data, torch.device("cpu"), pool).values():
            for stock in pair:
                stock.complete()
