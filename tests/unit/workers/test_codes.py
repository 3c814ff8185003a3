"""The node and the workers name findings with the same codes."""

from __future__ import annotations

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
