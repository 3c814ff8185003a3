"""Stage 7: mammogram and ultrasound of one patient in one report (PS3.16 TID 1500).

In: the analyses of one study and of its partner, which may be of another study or the same. Out: a
Comprehensive SR (PS3.3 A.35.3) in the study that was complete later. What must hold: both sources
are referenced, the other study's images as Pertinent Other Evidence (PS3.3 C.17.2.3); a source that
failed "cannot be assessed" and is never negative; the same input gives the same bytes; nothing in
it counts as verified by a person.

Its groups stand in the container Qualitative Evaluations, below the summary: OHIF 3.12 takes every
group of Imaging Measurements for a contour, and these have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    DateContentItem,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.valuerep import DA

from node.errors import EncodingError
from node.identifiers import derived_uid
from workers.analyses import ImageAnalysis, StudyAnalysis, models_of, whose
from workers.assessment import Source, breasts_of, sources_of
from workers.dicom import codes, equipment
from workers.dicom.breast_assessment import SOURCE_NAME, assessment_summary, breast_group
from workers.dicom.equipment import ModelIdentity
from workers.dicom.image_library import image_library
from workers.dicom.inheritance import plain_header, site_time, standard_form
from workers.dicom.observer import device_observer, name_modalities
from workers.dicom.provenance import refer_to_order, state_origin

# Behind the images and before the report of the study, which has 9000: it is read first.
COMBINED_SERIES_NUMBER: Final = 8990


@dataclass(frozen=True, slots=True)
class Partner:
    """What goes with a study into its combined report.

    `analyses`: of the other study; empty where the study holds both modalities itself.
    `predecessor`: the combined report that this one replaces, of whichever study.
    """

    analyses: tuple[ImageAnalysis, ...] = ()
    predecessor: Dataset | None = None


def encode_combined(study: StudyAnalysis, partner: Partner) -> Dataset:
    """Encode the combined report of one revision of `study`.

    Raises EncodingError when one of the two modalities is missing, or a header lacks what
    identifies it.
    """
    analyses = (*study.analyses, *partner.analyses)
    sources = sources_of(analyses)
    for each in sources:
        if not each.runs:
            raise EncodingError(f"nothing to combine: no {SOURCE_NAME[each.modality].lower()}")
    headers = [plain_header(analysis.source) for analysis in analyses]
    first, study_uid = whose(study.analyses), str(headers[0].StudyInstanceUID)
    models = models_of(run for each in sources for run in each.runs)
    at = site_time(study.content_at, first)
    try:
        result = ComprehensiveSR(
            evidence=headers,
            content=_content(study, partner, sources, models)[0],
            series_instance_uid=derived_uid("COMBINED series", study_uid),
            series_number=COMBINED_SERIES_NUMBER,
            sop_instance_uid=derived_uid(
                "COMBINED",
                *(study_uid, study.revision),
                *sorted(str(header.SOPInstanceUID) for header in headers),
                *(f"{model.name}:{model.version}" for model in models),
            ),
            instance_number=study.revision,
            manufacturer=equipment.MANUFACTURER,
            manufacturer_model_name=equipment.MANUFACTURER_MODEL_NAME,
            software_versions=equipment.software_version(),
            device_serial_number=equipment.device_serial_number(models),
            is_complete=not any(each.failures for each in sources),
            previous_versions=None if partner.predecessor is None else [partner.predecessor],
            series_description="AI mammogram and ultrasound, research use only",
            content_date=at.date(),
            content_time=at.time(),
            coding_schemes=[_private_scheme()],
        )
    except ValueError as error:
        raise EncodingError(f"the combined report cannot be written: {error}") from error
    state_origin(result, first, models, at)
    refer_to_order(result, first)
    return result


def _content(
    study: StudyAnalysis,
    partner: Partner,
    sources: Sequence[Source],
    models: Sequence[ModelIdentity],
) -> MeasurementReport:
    study_uid = str(study.analyses[0].source.StudyInstanceUID)
    breasts = breasts_of([*study.analyses, *partner.analyses])
    groups = [breast_group(breast, study_uid, study.revision) for breast in breasts]
    report = MeasurementReport(
        observation_context=ObservationContext(device_observer(models)),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=groups,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept("en-US", "RFC5646", "English (United States)")
        ),
    )
    content = report[0].ContentSequence
    name_modalities(content, (each.modality for each in sources))
    content.insert(len(content) - 1, _library([study.analyses, partner.analyses]))
    # Empty, and there all the same: OHIF needs the container.
    del content[-1].ContentSequence
    content.append(assessment_summary(sources, breasts, groups))
    return report


def _library(studies: Sequence[Sequence[ImageAnalysis]]) -> ContainerContentItem:
    """One group per study, with its date (TID 1602) before its images."""
    libraries = []
    for study in studies:
        if not study:
            continue
        library = image_library([(each.source, each.frame_number) for each in study])
        date = _date(study[0].source)
        if date is not None:
            library.ContentSequence[0].ContentSequence.insert(0, date)
        libraries.append(library)
    for other in libraries[1:]:
        libraries[0].ContentSequence.extend(other.ContentSequence)
    return libraries[0]


def _date(source: Dataset) -> DateContentItem | None:
    text = standard_form("DA", str(source.get("StudyDate") or ""))
    if not text:
        return None
    return DateContentItem(
        name=dictionary.DCM.StudyDate,
        value=DA(text),
        relationship_type=RelationshipTypeValues.HAS_ACQ_CONTEXT,
    )


def _private_scheme() -> CodingSchemeIdentificationItem:
    return CodingSchemeIdentificationItem(
        designator=codes.PRIVATE_SCHEME,
        name=codes.PRIVATE_SCHEME_NAME,
        responsible_organization=equipment.MANUFACTURER,
    )
