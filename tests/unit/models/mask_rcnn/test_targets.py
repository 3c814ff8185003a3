"""Truth, assignment and losses."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from models.mask_rcnn.augment import AugmentConfig, augment
from models.mask_rcnn.boxes import overlap
from models.mask_rcnn.labelled import BENIGN, LESION, MALIGNANT, NORMAL, UNKNOWN
from models.mask_rcnn.losses import class_entropy
from models.mask_rcnn.renyi import renyi_entropy
from models.mask_rcnn.targets import (
    mask_targets,
    match_anchors,
    sample_proposals,
    truth_of,
)


def _labels() -> torch.Tensor:
    labels = torch.zeros(2, 128, 128, dtype=torch.uint8)
    labels[0, 20:60, 30:80] = 1
    labels[0, 90:110, 10:40] = 2
    return labels


def test_boxes_of_a_label_map() -> None:
    """Every label gets the box of its pixels; an empty image has none."""
    truth = truth_of(_labels())
    assert truth.boxes[0, 0].tolist() == [30, 20, 80, 60]
    assert truth.boxes[0, 1].tolist() == [10, 90, 40, 110]
    assert truth.present.sum(dim=1).tolist() == [2, 0]


def test_anchor_closest_to_a_mass_is_positive_however_far() -> None:
    """A mass that no anchor fits still teaches its best anchor."""
    reference = torch.tensor([[0.0, 0, 20, 20], [30, 20, 60, 60], [100, 100, 120, 120]])
    positive, negative, matched = match_anchors(reference, truth_of(_labels()), positive=0.9)
    assert positive[0].tolist() == [False, True, False]
    assert negative[0].tolist() == [True, False, True]
    assert matched[0, 1].tolist() == [30, 20, 80, 60]
    assert negative[1].all()


def test_sampled_positives_stand_first_and_overlap_their_mass() -> None:
    """Positive slots hold boxes that overlap the mass they name; without masses there are none."""
    torch.manual_seed(0)
    truth = truth_of(_labels())
    candidates = torch.tensor([[[30.0, 20, 80, 60], [0, 0, 20, 20]]]).repeat(2, 1, 1)
    found = sample_proposals(candidates, torch.ones(2, 2), truth, positives=6, total=12)
    assert found.positive[0, :6].all()
    assert not found.positive[:, 6:].any()
    assert not found.positive[1].any()
    for slot in range(6):
        mass = truth.boxes[0, found.mass[0, slot]].unsqueeze(0)
        assert overlap(found.boxes[0, slot].unsqueeze(0), mass).item() >= 0.5


def test_mask_target_is_the_mass_within_the_box() -> None:
    """Over a box twice as wide as the mass, half of the target's columns are set."""
    labels = _labels()
    boxes = torch.tensor([[[30.0, 20, 130, 60]], [[0.0, 0, 10, 10]]])
    target = mask_targets(boxes, torch.zeros(2, 1, dtype=torch.int64), labels)
    assert target.shape == (2, 1, 28, 28)
    assert target[0, 0, :, :14].mean() == 1
    assert target[0, 0, :, 14:].sum() == 0
    assert target[1].sum() == 0


def test_augmentation_moves_image_and_labels_together() -> None:
    """Where the label goes, the bright square goes."""
    torch.manual_seed(1)
    labels = _labels()
    images = (labels > 0).to(torch.uint8).unsqueeze(1).repeat(1, 3, 1, 1) * 200
    moved, marks = augment(images, labels, AugmentConfig(noise=0.0))
    inside, outside = moved[0, 0][marks[0] > 0], moved[0, 0][marks[0] == 0]
    assert inside.mean() > 120
    assert outside.mean() < 10


def test_elastic_speckled_marked_augmentation_keeps_range_and_type() -> None:
    """With everything switched on, images stay within bytes and labels stay label numbers."""
    torch.manual_seed(1)
    labels = _labels()
    images = torch.full((2, 3, 128, 128), 90, dtype=torch.uint8)
    config = AugmentConfig(stretch=1.3, bend=0.02, speckle=0.2, marks=1.0)
    moved, marks = augment(images, labels, config)
    assert moved.min() >= 0
    assert 220 < moved.max() <= 255  # a cross
    assert set(marks.unique().tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0, 1000.0])
def test_renyi_entropy_is_zero_for_perfect_boxes_and_grows_with_bias(alpha: float) -> None:
    """All residuals at zero give 0; a constant error, unseen by plain entropy, gives more."""
    used = torch.ones(8, dtype=torch.bool)
    residuals = torch.full((8, 4), 0.5, requires_grad=True)
    perfect = renyi_entropy(torch.zeros(8, 4), used, alpha)
    biased = renyi_entropy(residuals, used, alpha)
    biased.backward()
    assert perfect.item() == pytest.approx(0.0, abs=1e-6)
    assert biased > 0.1
    assert (residuals.grad > 0).all()
    assert renyi_entropy(torch.ones(8, 4), ~used, alpha).item() == 0.0


def test_renyi_entropy_of_order_two_is_the_pairwise_sum() -> None:
    """Order 2 is -log of the mean kernel over all pairs, residuals and zeros together."""
    points = [0.2, -0.4, 0.0, 0.0]
    pairs = [math.exp(-((a - b) ** 2) / 0.5) for a in points for b in points]
    residuals = torch.tensor([[0.2] * 4, [-0.4] * 4])
    found = renyi_entropy(residuals, torch.ones(2, dtype=torch.bool))
    assert found.item() == pytest.approx(-math.log(sum(pairs) / 16), abs=1e-6)


def test_renyi_entropy_of_no_order_is_refused() -> None:
    """An order of zero or below has no meaning here."""
    with pytest.raises(ValueError, match="order above 0"):
        renyi_entropy(torch.zeros(2, 4), torch.ones(2, dtype=torch.bool), 0.0)


def test_open_class_asks_for_the_sum_of_probabilities() -> None:
    """A lesion of unknown class is content with either; an unknown image teaches nothing."""
    logits = torch.log(torch.tensor([[0.5, 0.2, 0.3]]).repeat(5, 1))
    codes = torch.tensor([NORMAL, BENIGN, MALIGNANT, LESION, UNKNOWN])
    found = torch.exp(-class_entropy(logits, codes))
    assert found.tolist() == pytest.approx([0.5, 0.2, 0.3, 0.5, 1.0])
    both = class_entropy(logits[:, :2], codes)
    assert both[1] == both[2] == both[3]


def test_a_smoothed_class_is_cross_entropy_against_the_smoothed_distribution() -> None:
    """Three tenths are spread over all classes, as torch's own label smoothing spreads them."""
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 4.0]])
    codes = torch.tensor([NORMAL, MALIGNANT])
    theirs = cross_entropy(logits, torch.tensor([0, 2]), label_smoothing=0.3, reduction="none")
    assert class_entropy(logits, codes, 0.3).tolist() == pytest.approx(theirs.tolist())


def test_a_turned_disc_stays_round_on_an_oblong_input() -> None:
    """Rotation is one in pixels, not in coordinates that stretch with the sides."""
    torch.manual_seed(3)
    y, x = torch.meshgrid(torch.arange(320), torch.arange(160), indexing="ij")
    disc = ((y - 160) ** 2 + (x - 80) ** 2 < 40**2).to(torch.uint8)
    config = AugmentConfig(rotation_degrees=45.0, scale=1.0, shift=0.0, noise=0.0)
    labels = disc.repeat(8, 1, 1)
    _, marks = augment(labels.unsqueeze(1).repeat(1, 3, 1, 1) * 200, labels, config)
    heights = marks.any(dim=2).sum(dim=1)
    widths = marks.any(dim=1).sum(dim=1)
    assert (heights - 79).abs().max() <= 2
    assert (widths - 79).abs().max() <= 2
