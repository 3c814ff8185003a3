"""One study as its page shows it: the status object, image by image."""

from __future__ import annotations

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
    cards = tuple(_card(row, status, files) for row in rows)
    # Images that a model looked at come first, in the order in which radiologists hang them.
    return StudyPage(status, tuple(sorted(cards, key=lambda card: (not card.runs, card.label))))


def find_picture(files: Files, study_uid: str, sop_instance_uid: str, revision: int) -> Path | None:
    """The overlay picture of an image in `revision`, or in the last one before that has it."""
    for candidate in range(revision, 0, -1):
        path = files.absolute(files.picture_path(study_uid, candidate, sop_instance_uid))
        if path.is_file():
            return path
    return None


def _card(row: Instance, status: Entry, files: Files) -> ImageCard:
    uid = row.sop_instance_uid
    runs = _of(status["model_runs"], uid)
    return ImageCard(
        sop_instance_uid=uid,
        label=_label(row.attributes),
        skip_reason=row.skip_reason,
        conflict=row.conflict,
        picture=find_picture(files, row.study_uid, uid, status["revision"]) is not None,
        findings=_of(status["findings"], uid),
        classification=_of(status["classification"], uid),
        failures=tuple(run for run in runs if run["state"] != SUCCEEDED),
        runs=runs,
    )


def _of(entries: Sequence[Entry], source_sop_uid: str) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry["source_sop_uid"] == source_sop_uid)


def _label(attributes: Entry) -> str:
    """For example "L CC" or "US": what a person calls this image."""
    side = attributes.get("ImageLaterality") or attributes.get("Laterality")
    parts = (side, attributes.get("ViewPosition"))
    named = " ".join(str(part) for part in parts if part)
    return named or str(attributes.get("Modality") or "object")
