"""Stage 7: the analyses of one study revision become one report (PS3.16 TID 1500).

In: per image its header, where its spacing came from and what every model said; the segmentations
already encoded; the report this one replaces. Out: a Comprehensive SR (PS3.3 A.35.3).
What must hold: every image that was looked at is listed, findings or not; a model that failed is
reported as failed, and "without findings" is said alone only when none did; the same input gives
the same bytes; nothing in it counts as verified by a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
)
from pydicom.dataset import Dataset

from node.destinations import SegmentsPer
from node.errors import EncodingError
from node.identifiers import derived_uid
from workers.analyses import ImageAnalysis, models_of, whose
from workers.dicom import codes, equipment
from workers.dicom.anatomy import read_location
from workers.dicom.burden import Burden, burden_group, burdens_of
from workers.dicom.equipment import ModelIdentity
from workers.dicom.image_library import image_library
from workers.dicom.inheritance import plain_header, site_time
from workers.dicom.measurement import Profile, SegmentReference, finding_group
from workers.dicom.observer import device_observer, name_modalities
from workers.dicom.provenance import refer_to_order, state_origin
from workers.dicom.run_status import run_group
from workers.dicom.segments import segment_numbers
from workers.dicom.study_summary import study_summary
from workers.findings import RunOutcome

# High, so that results sort behind the images in every viewer.
REPORT_SERIES_NUMBER: Final = 9000


def encode_report(
    analyses: Sequence[ImageAnalysis],
    *,
    revision: int,
    content_at: datetime,
    segmentations: Mapping[str, Dataset],
    predecessor: Dataset | None,
    profile: Profile,
    segments_per: SegmentsPer = "finding",
    left_out: Mapping[str, int] | None = None,
) -> Dataset:
    """Encode the report of one revision.

    `segmentations`: SEG by source SOP Instance UID, written with `segments_per`. `predecessor`: the
    report that this one replaces; its four UIDs suffice. `content_at`: aware. `left_out`: as in
    `StudyAnalysis`. Raises EncodingError when no model looked at any image, or a header lacks what
    identifies it.
    """
    runs = [run for analysis in analyses for run in analysis.runs]
    if not runs:
        raise EncodingError("a report needs at least one model on one image")
    headers = [plain_header(analysis.source) for analysis in analyses]
    source, study_uid = whose(analyses), str(headers[0].StudyInstanceUID)
    at = site_time(content_at, source)
    models = _models(analyses)
    names = [f"{model.name}:{model.version}" for model in models]
    names += [option for option in (profile, segments_per) if option in ("plain", "class")]
    segmentation_uids = sorted(str(each.SOPInstanceUID) for each in segmentations.values())
    sop_uids = sorted(str(header.SOPInstanceUID) for header in headers)
    segments = _segments(analyses, segmentations, segments_per)
    try:
        burdens = burdens_of(analyses)
        summary = study_summary(analyses, burdens, left_out or {})
        root = _content(analyses, segments, burdens, summary, revision, profile)[0]
        # The constructor copies and searches the whole tree, which doubles the time of a report; it
        # needs no more than the root and a first item.
        tree = root.ContentSequence
        root.ContentSequence = ContentSequence(tree[:1])
        result = ComprehensiveSR(
            evidence=[*headers, *segmentations.values()],
            content=root,
            # One series for all revisions: viewers show the newest instance of a series.
            series_instance_uid=derived_uid("SR series", study_uid, *names),
            series_number=REPORT_SERIES_NUMBER,
            sop_instance_uid=derived_uid(
                "SR", study_uid, *sop_uids, revision, *names, *segmentation_uids
            ),
            instance_number=revision,
            manufacturer=equipment.MANUFACTURER,
            manufacturer_model_name=equipment.MANUFACTURER_MODEL_NAME,
            software_versions=equipment.software_version(),
            device_serial_number=equipment.device_serial_number(models),
            is_complete=all(run.error is None for run in runs),
            previous_versions=None if predecessor is None else [predecessor],
            series_description="AI report, research use only",
            content_date=at.date(),
            content_time=at.time(),
            coding_schemes=_private_scheme(runs),
        )
    except ValueError as error:
        raise EncodingError(f"the report cannot be written: {error}") from error
    result.ContentSequence = tree
    state_origin(result, source, models, at)
    refer_to_order(result, source)
    return result


def _segments(
    analyses: Sequence[ImageAnalysis],
    segmentations: Mapping[str, Dataset],
    segments_per: SegmentsPer,
) -> dict[str, SegmentReference]:
    """The segment of every finding that has one, by tracking UID."""
    return {
        tracking_uid: SegmentReference(str(segmentation.SOPInstanceUID), number)
        for analysis in analyses
        if (segmentation := segmentations.get(str(analysis.source.SOPInstanceUID))) is not None
        for tracking_uid, number in segment_numbers(analysis.findings, segments_per).items()
    }


def _content(
    analyses: Sequence[ImageAnalysis],
    segments: Mapping[str, SegmentReference],
    burdens: Sequence[Burden],
    summary: ContainerContentItem,
    revision: int,
    profile: Profile,
) -> MeasurementReport:
    """The content tree. Groups of findings come first: viewers open the first group."""
    study_uid = str(analyses[0].source.StudyInstanceUID)
    findings = [
        finding_group(
            found,
            analysis.reference,
            analysis.spacing_source,
            profile,
            segment=segments.get(found.tracking_uid),
            location=read_location(analysis.source),
        )
        for analysis in analyses
        for found in analysis.findings
    ]
    statuses = [burden_group(burden, study_uid, revision, profile) for burden in burdens] + [
        run_group(run, analysis.reference, study_uid, revision, profile)
        for analysis in analyses
        for run in analysis.runs
    ]
    report = MeasurementReport(
        observation_context=ObservationContext(device_observer(_models(analyses))),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=statuses,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept("en-US", "RFC5646", "English (United States)")
        ),
    )
    content = report[0].ContentSequence
    name_modalities(content, (str(each.source.get("Modality")) for each in analyses))
    images = [(analysis.source, analysis.frame_number) for analysis in analyses]
    # TID 1500: the image library (row 5) stands before the measurements (row 6).
    content.insert(len(content) - 1, image_library(images))
    _place_groups(content[-1], summary, findings, profile)
    content.append(summary)
    return report


def _place_groups(
    measurements: ContainerContentItem,
    summary: ContainerContentItem,
    findings: Sequence[ContentItem],
    profile: Profile,
) -> None:
    """Put the findings before the groups that are there, which for OHIF go below the summary.

    OHIF 3.12 takes every group of the Imaging Measurements for a drawn one and fails on the first
    without coordinates. The template is extensible, so they may stand in either container.
    """
    others = list(measurements.ContentSequence)
    if profile == "ohif":
        summary.ContentSequence.extend(others)
        others = []
    if findings or others:
        measurements.ContentSequence = ContentSequence([*findings, *others])
    else:
        # An empty container, which OHIF needs to be there; an empty sequence would be an error.
        del measurements.ContentSequence


def _models(analyses: Sequence[ImageAnalysis]) -> list[ModelIdentity]:
    return models_of(run for analysis in analyses for run in analysis.runs)


def _private_scheme(runs: Sequence[RunOutcome]) -> list[CodingSchemeIdentificationItem] | None:
    """Coding Scheme Identification Sequence, when a private code is used (PS3.3 C.12.1.1.5)."""
    names = {name for run in runs for name in run.probabilities}
    if all(codes.probability_of(name).scheme_designator == "DCM" for name in names):
        return None
    return [
        CodingSchemeIdentificationItem(
            designator=codes.PRIVATE_SCHEME,
            name=codes.PRIVATE_SCHEME_NAME,
            responsible_organization=equipment.MANUFACTURER,
        )
    ]
