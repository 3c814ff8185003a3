"""Stage 7, composed: the recorded runs of one job become durable result objects.

In: model runs and findings of the database, headers of the source files, what the destinations
want. Out: one `WrittenResult` for each object. What must hold: called twice for the same job it
writes the same bytes to the same paths, because UIDs are derived and the content time is the time
the study was complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.destinations import Destination, SegmentsPer, Variant
from node.job import Lease, instances_of
from node.logs import log
from node.routes import PRIOR_ROUTE, is_superfluous
from node.store.deliveries import ASKED, PENDING, SENT
from node.store.files import Files
from node.store.originals import Place, as_path, open_original
from node.store.session import Store
from node.store.tables import Combination, Instance, Job, ModelRun, Result
from workers.analyses import (
    EncodedResult,
    Form,
    ImageAnalysis,
    StudyAnalysis,
    others_among,
    require_one_person,
)
from workers.cad_report import encode_cad_report
from workers.combined import Partner, encode_combined
from workers.dicom import equipment
from workers.dicom.decoding import chosen_frame, read_header, read_source
from workers.dicom.measurement import Profile
from workers.dicom.spacing import read_spacing
from workers.dicom.writing import part10
from workers.images import SourceImage
from workers.key_objects import encode_key_objects
from workers.partner import decide_partner
from workers.presentation import encode_presentations
from workers.records import WrittenResult, is_withdrawal, outcome_of
from workers.report import encode_report
from workers.secondary_capture import encode_secondary_captures
from workers.segmentation import encode_segmentation

# What is kept where no destination says otherwise.
DEFAULT_FORMS: frozenset[Form] = frozenset({("SEG", "ohif"), ("SR", "ohif"), ("COMBINED", "")})
# How each variant of SEG and SR is written.
_MEASURED_VARIANTS: dict[Variant, tuple[Profile, SegmentsPer]] = {
    "ohif": ("ohif", "finding"),
    "plain": ("plain", "finding"),
    "c-ohif": ("ohif", "class"),
    "c-plain": ("plain", "class"),
}
# How each variant of GSPS shows its outlines.
_STATE_VARIANTS: tuple[Variant, ...] = ("", "shutter")
# Behind the images and behind the report, which has 9000.
_FIRST_SEGMENTATION_SERIES = 9001


@dataclass(frozen=True, slots=True)
class Encoding:
    """What the objects of a job depend on, beside the job.

    `combine_window_days`: how far mammogram and ultrasound of a patient may lie apart; 0: never.
    `presentation_scores`: by finding kind, from which score on a CAD report asks to show it.
    """

    store: Store
    files: Files
    destinations: Sequence[Destination]
    combine_window_days: int = 0
    presentation_scores: Mapping[str, float] | None = None

    def objects(self, lease: Lease) -> Iterator[EncodedResult]:
        """Those of a job, one after another. Raises EncodingError."""
        wanted = wanted_by(self.destinations)
        with self.store.reading() as session:
            if is_withdrawal(session.get_one(Job, lease.job_id)):
                return  # every image is rejected
        decided = None
        if ("COMBINED", "") in wanted:
            decided = decide_partner(self.store, lease, self.combine_window_days)
        with self.store.reading() as session:
            study = read_study(session, self.files, session.get_one(Job, lease.job_id))
            partner = None if decided is None else _read_partner(session, self.files, decided)
        if partner is not None and others_among((*study.analyses, *partner.analyses)) is not None:
            facts = {"job": lease.job_id, "study": lease.study_uid}
            log.warning("images of different persons: not combined", extra=facts)
            partner = None
        yield from encode_study(study, wanted, partner, self.presentation_scores)


def encode_results(encoding: Encoding, lease: Lease) -> list[WrittenResult]:
    """Encode and write every object of a job. Raises EncodingError."""
    return [write_result(encoding.files, lease, each) for each in encoding.objects(lease)]


def write_lost(encoding: Encoding, lease: Lease) -> None:
    """Write what is still to be delivered and has no file: a restored backup may lack results.

    The objects have the UIDs that they had. Raises EncodingError.
    """
    with encoding.store.reading() as session:
        lost = {
            result.sop_instance_uid
            for result in session.get_one(Job, lease.job_id).results
            if any(each.state in (PENDING, SENT, ASKED) for each in result.deliveries)
            and not encoding.files.absolute(result.path).exists()
        }
    if not lost:
        return
    for each in encoding.objects(lease):
        if str(each.dataset.SOPInstanceUID) in lost:
            write_result(encoding.files, lease, each)
    log.warning("lost results written again", extra={"job": lease.job_id, "lost": len(lost)})


def wanted_by(destinations: Sequence[Destination]) -> frozenset[Form]:
    """Every form that some destination wants."""
    wanted: frozenset[Form] = frozenset().union(*(each.forms for each in destinations))
    return wanted or DEFAULT_FORMS


def encode_study(
    study: StudyAnalysis,
    wanted: Collection[Form],
    partner: Partner | None = None,
    presentation_scores: Mapping[str, float] | None = None,
) -> Iterator[EncodedResult]:
    """Every wanted object; those that others refer to come first. Raises EncodingError.

    `partner`: what goes with the study into a combined report; None: there is none.
    `presentation_scores`: as for `Encoding`.
    """
    require_one_person(study.analyses)
    for variant in _MEASURED_VARIANTS:
        if ("SEG", variant) in wanted or ("SR", variant) in wanted:
            yield from _measured(study, variant, wanted)
    if ("CADSR", "") in wanted:
        cad_report = encode_cad_report(
            study.analyses,
            revision=study.revision,
            content_at=study.content_at,
            predecessor=study.predecessors.get(("CADSR", "")),
            presentation_scores=presentation_scores,
        )
        if cad_report is not None:
            yield EncodedResult("CADSR", "", cad_report)
    for variant in _STATE_VARIANTS:
        if ("GSPS", variant) in wanted:
            yield from encode_presentations(study, variant)
    if ("SC", "") in wanted:
        yield from encode_secondary_captures(study)
    if ("KOS", "") in wanted and any(analysis.findings for analysis in study.analyses):
        selection = encode_key_objects(
            study.analyses, revision=study.revision, content_at=study.content_at
        )
        yield EncodedResult("KOS", "", selection)
    if ("COMBINED", "") in wanted and partner is not None:
        yield EncodedResult("COMBINED", "", encode_combined(study, partner))


def _measured(
    study: StudyAnalysis, variant: Variant, wanted: Collection[Form]
) -> Iterator[EncodedResult]:
    """The segmentations and the report in one variant.

    A report refers to segmentations only where they are wanted: else no archive would have them.
    """
    profile, segments_per = _MEASURED_VARIANTS[variant]
    segmentations = {
        str(analysis.source.SOPInstanceUID): encode_segmentation(
            analysis.source,
            analysis.findings,
            revision=study.revision,
            content_at=study.content_at,
            series_number=_FIRST_SEGMENTATION_SERIES + number,
            profile=profile,
            frame_number=analysis.frame_number,
            segments_per=segments_per,
        )
        for number, analysis in enumerate(study.analyses)
        if analysis.findings and ("SEG", variant) in wanted
    }
    for source_sop_uid, dataset in segmentations.items():
        yield EncodedResult("SEG", variant, dataset, source_sop_uid)
    if ("SR", variant) in wanted:
        report = encode_report(
            study.analyses,
            revision=study.revision,
            content_at=study.content_at,
            segmentations=segmentations,
            predecessor=study.predecessors.get(("SR", variant)),
            profile=profile,
            segments_per=segments_per,
            left_out=study.left_out,
        )
        yield EncodedResult("SR", variant, report)


def read_study(session: Session, files: Files, job: Job) -> StudyAnalysis:
    """Every analysed image of a job with its recorded runs, and what was delivered before."""
    runs: dict[str, list[ModelRun]] = {}
    for run in job.model_runs:
        runs.setdefault(run.source_sop_uid, []).append(run)
    instances = instances_of(session, job)
    analyses = tuple(
        _analysis(files, instance, runs[instance.sop_instance_uid])
        for instance in instances
        if instance.sop_instance_uid in runs
    )
    others = [each for each in instances if each.sop_instance_uid not in runs]
    return StudyAnalysis(
        analyses,
        job.revision,
        job.complete_at,
        _predecessors(session, job),
        Counter(each.skip_reason or "" for each in others if _is_missed(each, job)),
    )


def _is_missed(instance: Instance, job: Job) -> bool:
    """Whether a reader of the report may think that this image was looked at.

    Not what came after the study was complete: encoding again must give the same bytes.
    """
    attributes, reason = instance.attributes, instance.skip_reason
    own = (equipment.MANUFACTURER, equipment.MANUFACTURER_MODEL_NAME)
    return (
        attributes.get("HasPixelData") == "true"
        and instance.received_at <= job.complete_at
        and instance.route != PRIOR_ROUTE
        and (attributes.get("Manufacturer"), attributes.get("ManufacturerModelName")) != own
        and reason is not None
        and not is_superfluous(reason)
    )


def _read_partner(session: Session, files: Files, decided: Combination) -> Partner:
    """The other study's analyses, and the combined report that is replaced."""
    replaced = session.scalar(
        select(Result).where(Result.job_id == decided.predecessor_job_id, Result.kind == "COMBINED")
    )
    predecessor = None if replaced is None else _named(replaced)
    if decided.partner_job_id == decided.job_id:
        return Partner((), predecessor)
    other = read_study(session, files, session.get_one(Job, decided.partner_job_id))
    return Partner(other.analyses, predecessor)


def _analysis(files: Files, instance: Instance, runs: Sequence[ModelRun]) -> ImageAnalysis:
    place = Place(instance.path, instance.pack_offset, instance.size_bytes, instance.content)
    with open_original(files, place) as stream:
        header = read_header(stream)
    spacing = read_spacing(header)
    return ImageAnalysis(
        source=header,
        spacing_source=None if spacing is None else spacing[1],
        runs=tuple(outcome_of(run) for run in runs),
        # An image that could not be decoded has no frame to name.
        frame_number=chosen_frame(header) if any(run.state == "succeeded" for run in runs) else 1,
        read_image=partial(_read_image, files, place),
    )


def _read_image(files: Files, place: Place) -> SourceImage:
    with as_path(files, place) as path:
        return read_source(path)


def _predecessors(session: Session, job: Job) -> dict[Form, Dataset]:
    """The objects about the whole study of the last revision that has any, by form."""
    rows = session.scalars(
        select(Result)
        .join(Job)
        .where(Job.study_uid == job.study_uid, Job.revision < job.revision)
        .where(Result.source_sop_uid.is_(None))
        .order_by(Job.revision)
    )
    return {cast(Form, (row.kind, row.variant)): _named(row) for row in rows}


def _named(result: Result) -> Dataset:
    """What names a result in another object; its file may be gone, with the study it was of."""
    header = Dataset()
    header.StudyInstanceUID = result.job.study_uid
    header.SeriesInstanceUID = result.series_uid
    header.SOPClassUID, header.SOPInstanceUID = result.sop_class_uid, result.sop_instance_uid
    return header


def write_result(files: Files, lease: Lease, encoded: EncodedResult) -> WrittenResult:
    """Write one object durably; an older file of its name is replaced."""
    dataset = encoded.dataset
    content = part10(dataset)
    sop_instance_uid = str(dataset.SOPInstanceUID)
    path = files.result_path(lease.study_uid, lease.revision, sop_instance_uid)
    files.write(path, content)
    return WrittenResult(
        kind=encoded.kind,
        variant=encoded.variant,
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=str(dataset.SOPClassUID),
        series_uid=str(dataset.SeriesInstanceUID),
        source_sop_uid=encoded.source_sop_uid,
        path=path,
        size_bytes=len(content),
    )
