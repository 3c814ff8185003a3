"""Original against refined: what differs, and the table that says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from models.mask_rcnn.ablation import VARIANTS, Plan, ablate, compare, original
from models.mask_rcnn.ablation_table import Trial, markdown
from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.losses import LossConfig
from models.mask_rcnn.settings import Config, DataSettings
from models.mask_rcnn.validation import Found, Seen
from models.mask_rcnn_us import MODEL
from models.training.settings import FitSettings
from tests.unit.models.mask_rcnn import busi_folder

SIDE = MODEL.spec.inputs[0].shape[-1]
TINY = Config(
    NetworkConfig((SIDE, SIDE), width=0.125, channels=8, hidden=8, before_nms=10, proposals=8),
    DataSettings(batch=2, phantoms=0, tuning_phantoms=0),
    FitSettings(steps=1, device="cpu", tensorboard=False, validations=0, checkpoint_seconds=0.0),
    LossConfig(positives=4, sampled=12),
    stages=((0.0, 64),),
)


def _trial(hits: int, images: int = 20) -> Trial:
    """One mass per image, found in the first `hits` of them."""
    found = (Found(0.9, hit=True, dice=0.8),)
    seen = [Seen(found if number < hits else (), 1) for number in range(images)]
    return Trial(tuple(seen), 10, 20.0, 1_500_000)


def test_refined_has_every_change_and_the_original_none() -> None:
    """The variants differ from the original in the places that the paper names, and only there."""
    first = original(TINY)
    refined = first
    for change in VARIANTS["refined"]:
        refined = change(refined)
    assert (first.network.finest_stride_px, refined.network.finest_stride_px) == (4, 2)
    assert (first.network.roi_levels, refined.network.roi_levels) == ("assigned", "all")
    assert (first.network.mask_head, refined.network.mask_head) == ("original", "refined")
    assert first.loss.renyi == 0 < refined.loss.renyi
    same = replace(refined.network, finest_stride_px=4, roi_levels="assigned", mask_head="original")
    assert replace(refined, network=same, loss=first.loss) == first


def test_table_calls_a_difference_only_what_is_one() -> None:
    """Twice the masses found is better; one more of twenty is not shown to be."""
    trials = {
        "original": [_trial(8)],
        "much": [_trial(19)],
        "little": [_trial(9)],
    }
    result = compare(trials)
    assert result["figures"]["much"]["sensitivity_at_half_fp"] == 0.95
    low, high = result["intervals"]["original"]["sensitivity_at_half_fp"]
    assert 0.1 < low < 0.4 < high < 0.7
    lines = markdown(result, trials, FitSettings(steps=10)).splitlines()
    assert sum("10 steps" in line for line in lines) == 1
    (better,) = [line for line in lines if line.startswith("| much | [")]
    (none,) = [line for line in lines if line.startswith("| little | [")]
    assert "better" in better
    assert "better" not in none
    assert "none shown" in none


def test_runs_are_kept_and_not_repeated(tmp_path: Path) -> None:
    """Two variants train on a folder; asked again, the table comes from what they saw."""
    folder = busi_folder.write(tmp_path / "busi", 6)
    plan = Plan(TINY, (folder,), tmp_path / "out", ("original", "refined"), (1,))
    first = ablate(plan)
    kept = (tmp_path / "out" / "refined-1" / "seen.json").stat().st_mtime_ns
    assert ablate(plan) == first
    assert (tmp_path / "out" / "refined-1" / "seen.json").stat().st_mtime_ns == kept
    assert json.loads((tmp_path / "out" / "ablation.json").read_text())["data"] == ["busi"]
    assert "| refined |" in (tmp_path / "out" / "ablation.md").read_text()
