"""The summary of a report (PS3.16 TID 1500, row 12): how the study went, in codes and one text.

In: every run of the study. Out: the container Qualitative Evaluations. What must hold: "without
findings" is said alone only when no model failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.codedict import codes as dictionary

from workers.analyses import ImageAnalysis, not_analysed, one_of_many, shortfall
from workers.assessment import nothing_marked
from workers.dicom import codes, equipment
from workers.dicom.burden import Burden
from workers.dicom.measurement import run_sentence


def study_summary(
    analyses: Sequence[ImageAnalysis], burdens: Sequence[Burden], left_out: Mapping[str, int]
) -> ContainerContentItem:
    """Qualitative Evaluations (TID 1500 row 12): how the study went, in codes and one text."""
    runs = [run for analysis in analyses for run in analysis.runs]
    failed = sum(run.error is not None for run in runs)
    succeeded = len(runs) - failed
    contains = RelationshipTypeValues.CONTAINS
    container = ContainerContentItem(name=codes.QUALITATIVE_EVALUATIONS, relationship_type=contains)
    container.ContentSequence = ContentSequence(
        [
            CodeContentItem(
                name=codes.PROCESSING_SUMMARY,
                value=codes.processing_summary(
                    succeeded=succeeded,
                    failed=failed,
                    with_findings=any(run.findings for run in runs),
                ),
                relationship_type=contains,
            ),
            CodeContentItem(
                name=codes.SUMMARY_OF_ANALYSES,
                value=codes.run_summary(succeeded=succeeded, failed=failed),
                relationship_type=contains,
            ),
            TextContentItem(
                name=dictionary.DCM.Summary,
                value=_text(analyses, burdens, left_out),
                relationship_type=contains,
            ),
        ]
    )
    return container


def _text(
    analyses: Sequence[ImageAnalysis], burdens: Sequence[Burden], left_out: Mapping[str, int]
) -> str:
    """The first lines a person reads."""
    runs = [run for analysis in analyses for run in analysis.runs]
    incomplete = shortfall(runs)
    n_findings = sum(len(run.findings) for run in runs)
    lines = [equipment.RESEARCH_USE_ONLY]
    if n_findings:
        marked = sum(bool(analysis.findings) for analysis in analyses)
        lines.append(f"{n_findings} finding(s) on {marked} of {len(analyses)} image(s).")
    elif not incomplete:
        lines.append(nothing_marked(analyses))
    if incomplete:
        lines.append(incomplete)
    if loops := one_of_many(analyses):
        lines.append(loops)
    lines.extend(not_analysed(left_out))
    lines.extend(burden.sentence for burden in burdens)
    for number, analysis in enumerate(analyses, start=1):
        image = f"Image {number}, {analysis.name}"
        lines.extend(f"{image}: {run_sentence(run)}" for run in analysis.runs)
    return "\r\n".join(lines)
