"""One study as its page shows it: the status object, image by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.status import study_status
from node.store.files import Files
from node.store.runs import SUCCEEDED
from node.store.tables import Instance

Entry = dict[str, Any]
# Entries by the SOP Instance UID of their image.
_ByImage = defaultdict[str, list[Entry]]


@dataclass(frozen=True, slots=True)
class ImageCard:
    """One received image and what every model said of it; entries are those of `study_status`."""

    sop_instance_uid: str
    label: str
    skip_reason: str | None
    conflict: bool
    picture: bool
    findings: tuple[Entry, ...]
    classification: tuple[Entry, ...]
    failures: tuple[Entry, ...]
    runs: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class StudyPage:
    """Everything that the page of one study shows."""

    status: Entry
    images: tuple[ImageCard, ...]

    @property
    def failures(self) -> int:
        """Model runs that failed."""
        return sum(len(image.failures) for image in self.images)


def study_page(session: Session, files: Files, study_uid: str) -> StudyPage:
    """Read one study. Raises NotFoundError."""
    status = study_status(session, study_uid)
    rows = session.scalars(
        select(Instance).where(Instance.study_uid == study_uid).order_by(Instance.id)
    ).all()
    parts = [_by_image(status[name]) for name in ("model_runs", "findings", "classification")]
    cards = tuple(_card(row, status["revision"], files, *parts) for row in rows)
    # Images that a model looked at come first, in the order in which radiologists hang them.
    return StudyPage(status, tuple(sorted(cards, key=lambda card: (not card.runs, card.label))))


def find_picture(files: Files, study_uid: str, sop_instance_uid: str, revision: int) -> Path | None:
    """The overlay picture of an image in `revision`, or in the last one before that has it."""
    for candidate in range(revision, 0, -1):
        path = files.absolute(files.picture_path(study_uid, candidate, sop_instance_uid))
        if path.is_file():
            return path
    return None


def _card(
    row: Instance,
    revision: int,
    files: Files,
    all_runs: _ByImage,
    findings: _ByImage,
    classification: _ByImage,
) -> ImageCard:
    # What is kept apart has its UID from another, and that one's runs are not its own.
    uid = "" if row.conflict else row.sop_instance_uid
    runs = tuple(all_runs[uid])
    # An earlier revision may have looked at an image that a better one has replaced since.
    shown = bool(runs) or not (row.conflict or row.skip_reason)
    return ImageCard(
        sop_instance_uid=row.sop_instance_uid,
        label=_label(row.attributes),
        skip_reason=row.skip_reason,
        conflict=row.conflict,
        picture=shown and find_picture(files, row.study_uid, uid, revision) is not None,
        findings=tuple(findings[uid]),
        classification=tuple(classification[uid]),
        failures=tuple(run for run in runs if run["state"] != SUCCEEDED),
        runs=runs,
    )


def _by_image(entries: Sequence[Entry]) -> _ByImage:
    found: _ByImage = defaultdict(list)
    for entry in entries:
        found[entry["source_sop_uid"]].append(entry)
    return found


def _label(attributes: Entry) -> str:
    """For example "L CC" or "US": what a person calls this image."""
    side = attributes.get("ImageLaterality") or attributes.get("Laterality")
    parts = (side, attributes.get("ViewPosition"))
    named = " ".join(str(part) for part in parts if part)
    return named or str(attributes.get("Modality") or "object")
