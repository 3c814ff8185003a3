"""Stage 7: the mammograms of one study revision become one CAD report (PS3.16 TID 4000).

In: the analyses of a study. Out: a Mammography CAD SR (PS3.3 A.35.5), or nothing where the study
has no mammogram: the template has no place for an ultrasound image. What must hold: the rows of
the templates in their order and no others, because the templates are not extensible; a failed run
is said as failed, in codes; the same input gives the same bytes.

docs/cad-sr.md has every row of every template, and what is written there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

from highdicom.sr import ContentItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from models.contract import FindingKind
from node.errors import EncodingError
from node.identifiers import derived_uid
from workers.analyses import ImageAnalysis, models_of, one_of_many, shortfall, whose
from workers.dicom import codes, equipment
from workers.dicom.cad_algorithms import algorithm_for, algorithms_of, identification, summaries
from workers.dicom.cad_document import MammographyCADSR
from workers.dicom.cad_findings import impression
from workers.dicom.cad_library import library_entry
from workers.dicom.content_items import (
    CONCEPT_MODIFIER,
    CONTAINS,
    PROPERTIES,
    code,
    container,
    text,
)
from workers.dicom.inheritance import plain_header, site_time
from workers.dicom.measurement import run_sentence
from workers.dicom.provenance import refer_to_order, state_origin
from workers.findings import RunOutcome

# Before the report (9000): a workstation that knows both shows its own kind first.
CAD_SERIES_NUMBER: Final = 8900

_DCM = dictionary.DCM
_ENGLISH: Final = Code("en-US", "RFC5646", "English (United States)")


def encode_cad_report(
    analyses: Sequence[ImageAnalysis],
    *,
    revision: int,
    content_at: datetime,
    predecessor: Dataset | None,
    presentation_scores: Mapping[str, float] | None = None,
) -> Dataset | None:
    """Encode the CAD report of one revision; None for a study without mammograms.

    `predecessor`: the report that this one replaces; its four UIDs suffice. `content_at`: aware.
    `presentation_scores`: by finding kind, the score from which a finding is marked "presentation
    required", where that is above the model's operating point. Raises EncodingError.
    """
    mammograms = [each for each in analyses if each.source.get("Modality") != "US" and each.runs]
    if not mammograms:
        return None
    runs = [run for analysis in mammograms for run in analysis.runs]
    headers = [plain_header(analysis.source) for analysis in mammograms]
    source, study_uid = whose(mammograms), str(headers[0].StudyInstanceUID)
    at = site_time(content_at, source)
    models = models_of(runs)
    names = [f"{model.name}:{model.version}" for model in models]
    scores = presentation_scores or {}
    # Another choice of the site makes other bytes, so another object.
    choice = [f"{kind}={score}" for kind, score in sorted(scores.items())]
    sop_uids = sorted(str(header.SOPInstanceUID) for header in headers)
    try:
        result = MammographyCADSR(
            evidence=headers,
            root=_root(mammograms, scores),
            # One series for all revisions: viewers show the newest instance of a series.
            series_instance_uid=derived_uid("CADSR series", study_uid, *names),
            series_number=CAD_SERIES_NUMBER,
            sop_instance_uid=derived_uid("CADSR", study_uid, *sop_uids, revision, *names, *choice),
            instance_number=revision,
            models=models,
            is_complete=all(run.error is None for run in runs),
            predecessor=predecessor,
            at=at,
        )
    except ValueError as error:
        raise EncodingError(f"the CAD report cannot be written: {error}") from error
    state_origin(result, source, models, at)
    refer_to_order(result, source)
    return result


def _root(mammograms: Sequence[ImageAnalysis], scores: Mapping[str, float]) -> ContentItem:
    """TID 4000, in the order of its rows."""
    entries = (library_entry(each.source, each.frame_number) for each in mammograms)
    return container(
        None,
        _DCM.MammographyCADReport,
        code(CONCEPT_MODIFIER, _DCM.LanguageOfContentItemAndDescendants, _ENGLISH),
        container(CONTAINS, _DCM.ImageLibrary, *entries),
        _overall_impression(mammograms, scores),
        *summaries([each.runs for each in mammograms]),
        template_id="4000",
    )


def _overall_impression(
    mammograms: Sequence[ImageAnalysis], scores: Mapping[str, float]
) -> ContentItem:
    """TID 4001: the code of CID 6047, TID 4002, and one TID 4003 per finding."""
    runs = [run for analysis in mammograms for run in analysis.runs]
    failed = sum(run.error is not None for run in runs)
    summary = codes.processing_summary(
        succeeded=len(runs) - failed,
        failed=failed,
        with_findings=any(run.findings for run in runs),
    )
    return code(
        CONTAINS,
        codes.PROCESSING_SUMMARY,
        summary,
        text(PROPERTIES, _DCM.ImpressionDescription, _description(mammograms)),
        *_authors(runs),
        *_impressions(mammograms, scores),
    )


def _impressions(
    mammograms: Sequence[ImageAnalysis], scores: Mapping[str, float]
) -> Iterator[ContentItem]:
    for number, analysis in enumerate(mammograms, start=1):
        for run in analysis.runs:
            for found in run.findings:
                algorithm = algorithm_for(run, found.kind)
                point = _presented_from(found.kind, algorithm.operating_point, scores)
                yield impression(found, algorithm, number, point)


def _presented_from(
    kind: FindingKind, operating_point: float | None, scores: Mapping[str, float]
) -> float:
    """The higher of both: what the model did not mark is not there to be shown.

    Without its spec, every finding that a model recorded was at or above its operating point.
    """
    return max(operating_point or 0.0, scores.get(kind.value, 0.0))


def _authors(runs: Sequence[RunOutcome]) -> list[ContentItem]:
    """TID 4002 row 11: this software, and every classifier whose probabilities it repeats."""
    classifiers = {
        (run.model, run.model_version): None
        for run in runs
        if run.error is None and any(each.kind is None for each in algorithms_of(run))
    }
    named = [(equipment.MANUFACTURER_MODEL_NAME, equipment.software_version()), *classifiers]
    return list(chain.from_iterable(identification(*each) for each in named))


def _description(mammograms: Sequence[ImageAnalysis]) -> str:
    """TID 4002 row 5: what a person reads."""
    runs = [run for analysis in mammograms for run in analysis.runs]
    lines = [equipment.RESEARCH_USE_ONLY]
    lines.extend(filter(None, (shortfall(runs), one_of_many(mammograms))))
    for number, analysis in enumerate(mammograms, start=1):
        image = f"Image {number}, {analysis.name}"
        lines.extend(f"{image}: {_sentence(run)}" for run in analysis.runs)
    return "\r\n".join(lines)


def _sentence(run: RunOutcome) -> str:
    """One run; the templates have no item for the probabilities of an image."""
    if run.error is not None or not run.probabilities:
        return run_sentence(run)
    shares = (f"{name} {100 * value:.0f} %" for name, value in sorted(run.probabilities.items()))
    return f"{run.model} {run.model_version}: {', '.join(shares)}."
