"""Stage 7, composed: the recorded runs of one job become durable SEG and SR files.

In: model runs and findings of the database, headers of the source files. Out: one `WrittenResult`
for each object. What must hold: called twice for the same job it writes the same bytes to the same
paths, because UIDs are derived and the content time is the time the study was complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.destinations import Destination
from node.job import Lease, instances_of
from node.store.files import Files
from node.store.originals import Place, open_original
from node.store.session import Store
from node.store.tables import Instance, Job, ModelRun, Result
from workers.dicom.decoding import chosen_frame
from workers.dicom.measurement import Profile
from workers.dicom.spacing import read_spacing
from workers.records import WrittenResult, outcome_of
from workers.report import ImageAnalysis, encode_report
from workers.segmentation import encode_segmentation

# Behind the images and behind the report, which has 9000.
_FIRST_SEGMENTATION_SERIES = 9001


def encode_results(
    store: Store, files: Files, lease: Lease, destinations: Sequence[Destination]
) -> list[WrittenResult]:
    """Encode and write every object of a job. Raises EncodingError."""
    with store.reading() as session:
        job = session.get_one(Job, lease.job_id)
        analyses = read_analyses(session, files, job)
        predecessor = _predecessor(session, files, job)
        revision, content_at = job.revision, job.complete_at
    encoded = encode_study(
        analyses,
        revision=revision,
        content_at=content_at,
        predecessor=predecessor,
        profile=_profile(destinations),
    )
    return [_write(files, lease, kind, dataset, source) for kind, dataset, source in encoded]


def encode_study(
    analyses: Sequence[ImageAnalysis],
    *,
    revision: int,
    content_at: datetime,
    predecessor: Dataset | None,
    profile: Profile,
) -> list[tuple[str, Dataset, str | None]]:
    """Kind, object and source SOP Instance UID of each result: SEGs first, then the report."""
    segmentations: dict[str, Dataset] = {}
    for number, analysis in enumerate(analyses):
        findings = [finding for run in analysis.runs for finding in run.findings]
        if findings:
            segmentations[str(analysis.source.SOPInstanceUID)] = encode_segmentation(
                analysis.source,
                findings,
                revision=revision,
                content_at=content_at,
                series_number=_FIRST_SEGMENTATION_SERIES + number,
                profile=profile,
                frame_number=analysis.frame_number,
            )
    report = encode_report(
        analyses,
        revision=revision,
        content_at=content_at,
        segmentations=segmentations,
        predecessor=predecessor,
        profile=profile,
    )
    return [
        *(("SEG", dataset, source) for source, dataset in segmentations.items()),
        ("SR", report, None),
    ]


def read_analyses(session: Session, files: Files, job: Job) -> list[ImageAnalysis]:
    """Every analysed image of a job with its recorded runs."""
    runs: dict[str, list[ModelRun]] = {}
    for run in job.model_runs:
        runs.setdefault(run.source_sop_uid, []).append(run)
    return [
        _analysis(files, instance, runs[instance.sop_instance_uid])
        for instance in instances_of(session, job)
        if instance.sop_instance_uid in runs
    ]


def _analysis(files: Files, instance: Instance, runs: Sequence[ModelRun]) -> ImageAnalysis:
    place = Place(instance.path, instance.pack_offset, instance.size_bytes, instance.content)
    with open_original(files, place) as stream:
        header = pydicom.dcmread(stream, stop_before_pixels=True)
    spacing = read_spacing(header)
    return ImageAnalysis(
        source=header,
        spacing_source=None if spacing is None else spacing[1],
        runs=tuple(outcome_of(run) for run in runs),
        # An image that could not be decoded has no frame to name.
        frame_number=chosen_frame(header) if any(run.state == "succeeded" for run in runs) else 1,
    )


def _predecessor(session: Session, files: Files, job: Job) -> Dataset | None:
    path = session.scalar(
        select(Result.path)
        .join(Job)
        .where(Job.study_uid == job.study_uid, Job.revision < job.revision, Result.kind == "SR")
        .order_by(Job.revision.desc())
        .limit(1)
    )
    if path is None:
        return None
    return pydicom.dcmread(files.absolute(path), stop_before_pixels=True)


def _profile(destinations: Sequence[Destination]) -> Profile:
    plain = bool(destinations) and all(item.profile == "plain" for item in destinations)
    return "plain" if plain else "ohif"


def part10(dataset: Dataset) -> bytes:
    """The object as a Part 10 file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _write(
    files: Files, lease: Lease, kind: str, dataset: Dataset, source_sop_uid: str | None
) -> WrittenResult:
    content = part10(dataset)
    sop_instance_uid = str(dataset.SOPInstanceUID)
    path = files.result_path(lease.study_uid, lease.revision, sop_instance_uid)
    files.write(path, content)
    return WrittenResult(
        kind=kind,
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=str(dataset.SOPClassUID),
        series_uid=str(dataset.SeriesInstanceUID),
        source_sop_uid=source_sop_uid,
        path=path,
        size_bytes=len(content),
    )
