"""Files in, results out, without database or PACS: the same stages as `pipeline`, in one process.

In: DICOM files. Out: in a folder, one SEG per image with findings, one SR per study, a combined one
where the study holds mammograms and ultrasound, one PNG per image. Instances that no rule routes to
a model, files that cannot be read, and studies without results are listed with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from models.registry import get_model
from node.completion import leave_out_superfluous
from node.errors import DecodingError, EncodingError, RefusedError
from node.header import read_file
from node.job import utc_now
from node.rejection import KEY_OBJECT_SELECTION, heed_notes, read_note_file
from node.routes import load_routes
from node.send import find_instances
from node.settings import Settings
from node.store.tables import Instance
from workers.analyses import ImageAnalysis, StudyAnalysis
from workers.assessment import holds_both
from workers.combined import Partner
from workers.dicom.decoding import read_source, readable
from workers.dicom.writing import part10
from workers.images import SourceImage
from workers.inference import Server, run_model
from workers.pictures.png import overlay_picture
from workers.results import DEFAULT_FORMS, encode_study

# There is no history outside the node: every run is a first revision.
_REVISION = 1


def analyze_files(
    paths: Iterable[Path], out: Path, server: Server, settings: Settings, advance: Callable[[], Any]
) -> dict[str, Any]:
    """Analyse; returns counts, written files and skipped ones with reasons.

    Raises ConfigurationError when nothing among the paths is DICOM, ModelUnavailableError,
    ModelMismatchError.
    """
    out.mkdir(parents=True, exist_ok=True)
    skipped: dict[str, str] = {}
    instances = _routed([item.path for item in find_instances(paths)], settings, skipped)
    studies: dict[str, list[ImageAnalysis]] = {}
    written: list[str] = []
    for instance in instances:
        try:
            source = read_source(Path(instance.path))
        except (DecodingError, OSError) as error:
            skipped[instance.path] = str(error)
            continue
        analysis = _look(Path(instance.path), source, instance.models, server, instance.study_uid)
        studies.setdefault(instance.study_uid, []).append(analysis)
        written.append(_picture(out, source, analysis))
        advance()
    for study_uid, analyses in studies.items():
        try:
            written += _results(out, analyses)
        except EncodingError as error:
            skipped[study_uid] = str(error)
    count = sum(len(analyses) for analyses in studies.values())
    return {"analysed": count, "written": written, "skipped": skipped}


def _routed(paths: Sequence[Path], settings: Settings, skipped: dict[str, str]) -> list[Instance]:
    """The instances that models look at, decided as the node decides; the others with reasons."""
    routes = load_routes(settings.routes)
    studies: dict[str, list[Instance]] = {}
    for path in paths:
        try:
            header, _ = read_file(path)
            is_note = header.sop_class_uid == KEY_OBJECT_SELECTION
            note = read_note_file(path) if is_note else {}
        except RefusedError as error:
            skipped[str(path)] = str(error)
            continue
        decision = routes.decide(header.attributes)
        studies.setdefault(header.study_uid, []).append(
            Instance(
                study_uid=header.study_uid,
                sop_instance_uid=header.sop_instance_uid,
                path=str(path),
                route=decision.route,
                models=list(decision.models),
                skip_reason=decision.skip_reason,
                attributes=header.attributes | note,
            )
        )
    for members in studies.values():
        heed_notes(members, routes)
        leave_out_superfluous(members, routes)
    everything = [instance for members in studies.values() for instance in members]
    skipped |= {item.path: item.skip_reason or "" for item in everything if not item.models}
    return [instance for instance in everything if instance.models]


def _look(
    path: Path, source: SourceImage, models: Sequence[str], server: Server, study_uid: str
) -> ImageAnalysis:
    runs = [
        run_model(get_model(name), source, server, study_uid=study_uid, revision=_REVISION)
        for name in models
    ]
    return ImageAnalysis(
        readable(source.dataset),
        source.spacing_source,
        tuple(runs),
        source.frame_number,
        partial(read_source, path),
    )


def _picture(out: Path, source: SourceImage, analysis: ImageAnalysis) -> str:
    findings = [finding for run in analysis.runs for finding in run.findings]
    path = out / f"{source.dataset.SOPInstanceUID}.png"
    path.write_bytes(overlay_picture(source.image, findings))
    return str(path)


def _results(out: Path, analyses: Sequence[ImageAnalysis]) -> list[str]:
    study = StudyAnalysis(tuple(analyses), _REVISION, utc_now())
    paths = []
    # Without a node there is no other study to combine it with.
    partner = Partner() if holds_both(study.analyses) else None
    for encoded in encode_study(study, DEFAULT_FORMS, partner):
        path = out / f"{encoded.kind}-{encoded.dataset.SOPInstanceUID}.dcm"
        path.write_bytes(part10(encoded.dataset))
        paths.append(str(path))
    return paths
