"""Original against refined Mask R-CNN under one budget: the changes of Kumar et al., one by one.

    python -m models.mask_rcnn.ablation --data BUSI --out DIR --seeds 1 2 --set fit.steps=600

In: folders of outlined ultrasound images and a budget per run. Out: `ablation.json` and
`ablation.md` in `--out`: figures of every variant on the side that none was trained on, and the
differences to the original, with intervals from a bootstrap over images that uses the same images
for both. What must hold: every variant sees the same samples in the same order from the same seeds
for the same budget, and the table says what came out, whatever it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.mask_rcnn.ablation_table import ROWS, Interval, Trial, markdown
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.settings import Config
from models.mask_rcnn.stocks import Stocks, stocks
from models.mask_rcnn.train import train
from models.mask_rcnn.validation import Seen, figures, look
from models.mask_rcnn_us.model import MODEL
from models.training import command, config
from models.training.samples import pool_or_none

_SAMPLES = 1000

Change = Callable[[Config], Config]


def original(base: Config) -> Config:
    """Stride 4, one level per box, four convolutions and one deconvolution, smooth L1 alone."""
    network = replace(base.network, finest_stride_px=4, roi_levels="assigned", mask_head="original")
    return replace(base, network=network, loss=replace(base.loss, smooth_l1=1.0, renyi=0.0))


def _stride(base: Config) -> Config:
    return replace(base, network=replace(base.network, finest_stride_px=2))


def _all_levels(base: Config) -> Config:
    return replace(base, network=replace(base.network, roi_levels="all"))


def _mask_head(base: Config) -> Config:
    return replace(base, network=replace(base.network, mask_head="refined"))


def _regularised(base: Config) -> Config:
    return replace(base, loss=replace(base.loss, renyi=0.5))


def _replaced(base: Config) -> Config:
    return replace(base, loss=replace(base.loss, smooth_l1=0.0, renyi=1.0))


VARIANTS: dict[str, tuple[Change, ...]] = {
    "original": (),
    "stride": (_stride,),
    "roi_levels": (_all_levels,),
    "mask_head": (_mask_head,),
    "renyi": (_regularised,),
    "renyi_alone": (_replaced,),
    "refined": (_stride, _all_levels, _mask_head, _regularised),
}
"""Changes to the original, in the order of Kumar et al., section II-C; "refined" has them all."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared: `variants` by name, each with each of `seeds`."""

    base: Config
    data: tuple[Path, ...]
    out: Path
    variants: tuple[str, ...]
    seeds: tuple[int, ...]


def ablate(plan: Plan) -> dict[str, Any]:
    """Train and compare; writes both files. A run that is done is not repeated."""
    device = torch.device(plan.base.fit.device_name())
    with pool_or_none(plan.base.data.workers) as pool:
        made = stocks(plan.base.data, MODEL, plan.data, device, pool, plan.out)
        if made.validation is None:
            raise ValueError("an ablation needs real images to compare on")
        made.complete()  # a run must not depend on how far the making of samples had come
        trials = {
            name: [_trial(plan, name, seed, made) for seed in plan.seeds] for name in plan.variants
        }
    result = compare(trials)
    facts = {"data": [folder.name for folder in plan.data], "seeds": plan.seeds, **result}
    (plan.out / "ablation.json").write_text(json.dumps(facts, indent=1) + "\n")
    (plan.out / "ablation.md").write_text(markdown(result, trials, plan.base.fit))
    return result


def _trial(plan: Plan, name: str, seed: int, made: Stocks) -> Trial:
    """One run, or what is left of it on disk."""
    folder = plan.out / f"{name}-{seed}"
    done = folder / "seen.json"
    if done.is_file():
        return Trial.from_json(done.read_text())
    chosen = original(plan.base)
    for change in VARIANTS[name]:
        chosen = change(chosen)
    chosen = replace(chosen, fit=replace(chosen.fit, seed=seed))
    result = train(chosen, made, folder, f"{name} {seed}", resume=True)
    whole = MaskRCNN(chosen.network).to(next(result.module.parameters()).device).eval()
    whole.load_state_dict(result.module.state_dict())
    assert made.validation is not None
    seen = look(whole, made.validation, chosen.data.batch)
    parameters = sum(parameter.numel() for parameter in whole.parameters())
    trial = Trial(tuple(seen), result.steps, result.elapsed_seconds, parameters)
    done.write_text(trial.to_json())
    return trial


def compare(trials: Mapping[str, Sequence[Trial]]) -> dict[str, Any]:
    """Per variant, figures as means over the seeds, and differences to the first variant."""
    names = list(trials)
    count = len(trials[names[0]][0].seen)
    rng = np.random.default_rng(0)
    draws = [np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(_SAMPLES)]
    table = {name: _mean(trials[name], None) for name in names}
    drawn = {name: [_mean(trials[name], draw.astype(float)) for draw in draws] for name in names}
    first = names[0]
    return {
        "figures": table,
        "intervals": {
            name: {row: _interval([one[row] for one in drawn[name]]) for row in _rows(table)}
            for name in names
        },
        "differences": {
            name: {
                row: _interval(
                    [a[row] - b[row] for a, b in zip(drawn[name], drawn[first], strict=True)]
                )
                for row in _rows(table)
            }
            for name in names[1:]
        },
    }


def _rows(table: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [row for row in ROWS if all(row in values for values in table.values())]


def _mean(trials: Sequence[Trial], weight: Any) -> dict[str, float]:
    """Mean over the seeds, of the images as they are or as a bootstrap sample has them."""
    each = [figures(list[Seen](trial.seen), weight) for trial in trials]
    return {row: float(np.mean([one[row] for one in each])) for row in ROWS if row in each[0]}


def _interval(values: Sequence[float]) -> Interval:
    low, high = np.percentile(np.array(values), [2.5, 97.5])
    return float(low), float(high)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m models.mask_rcnn.ablation")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--config", type=Path, action="append", default=[])
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args(arguments)
    paths = [command.defaults_path(MODEL.spec.name), *given.config]
    base = config.read(Config, paths, given.overrides)
    variants = tuple(dict.fromkeys(["original", *given.variants]))
    ablate(Plan(base, tuple(given.data), given.out, variants, tuple(given.seeds)))


if __name__ == "__main__":
    main()
