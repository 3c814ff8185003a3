"""The node and the workers name findings with the same codes."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from models.contract import FindingKind
from node.status import FINDING_CODES
from workers.dicom.codes import FINDING_TYPE


def test_status_and_results_agree() -> None:
    """`sentinode status` shows the codes that SEG and SR carry."""
    written = {
        kind.value: {
            "value": code.value,
            "scheme": code.scheme_designator,
            "meaning": code.meaning,
        }
        for kind, code in FINDING_TYPE.items()
    }
    assert written == FINDING_CODES


@pytest.mark.parametrize(
    ("kind", "cid"),
    [
        (FindingKind.MASS, "cid7151"),
        (FindingKind.MASS, "cid7159"),
        (FindingKind.CALCIFICATION_CLUSTER, "cid6014"),
        (FindingKind.ARTERIAL_CALCIFICATION, "cid6010"),
    ],
)
def test_findings_are_coded_as_context_groups_offer_them(kind: FindingKind, cid: str) -> None:
    """PS3.16: segmentation and lesion types, single image findings, types of calcification."""
    group = getattr(codes, cid)
    assert FINDING_TYPE[kind] in [getattr(group, name) for name in group.dir()]
