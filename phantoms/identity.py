"""Who and what a synthetic study is: patient, dates and UIDs, all derived from the seed.

Nothing is drawn from a clock or at random, so a study written twice is the same study, byte for
byte, and an archive that gets it twice keeps one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, timedelta

# The name space of every UID made here (UUIDv5 under 2.25, PS3.5 B.2).
_NAMESPACE = uuid.UUID("f1b7c2de-6f53-5c53-8a31-0f7a5b6a9f11")
_FIRST_STUDY = date(2024, 1, 8)


def derived_uid(*parts: str | int) -> str:
    """The UID that belongs to these parts, always the same one."""
    name = "\x1f".join(str(part) for part in parts)
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


IMPLEMENTATION_CLASS_UID = derived_uid("implementation")
IMPLEMENTATION_VERSION_NAME = "SENTINODE_PH_1"
DEVICE_UID = derived_uid("device")


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """One synthetic study. `variant` names the options that change pixels or headers.

    Studies of one seed and different variants belong to one patient and have different UIDs.
    """

    seed: int
    variant: str

    @property
    def patient_id(self) -> str:
        return f"PHANTOM-{self.seed:06d}"

    @property
    def accession_number(self) -> str:
        return f"PH{self.seed:06d}"

    @property
    def study_instance_uid(self) -> str:
        return derived_uid("study", self.seed, self.variant)

    @property
    def study_date(self) -> date:
        return _FIRST_STUDY + timedelta(days=self.seed % 365)

    @property
    def birth_date(self) -> date:
        return date(1944 + self.seed % 30, 1 + self.seed % 12, 1 + self.seed % 28)

    def series_instance_uid(self, series: str) -> str:
        return derived_uid("series", self.seed, self.variant, series)

    def sop_instance_uid(self, series: str, image: str) -> str:
        return derived_uid("instance", self.seed, self.variant, series, image)
