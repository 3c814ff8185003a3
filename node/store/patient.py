"""One transaction at a time for a patient: whoever decides by several studies must see them all."""

from __future__ import annotations

import hashlib

from sqlalchemy import text
from sqlalchemy.orm import Session

from node.store.tables import Study


def lock_patient(session: Session, study: Study) -> None:
    """Wait for the patient's turn, until the transaction ends; SQLite has one writer anyway."""
    if session.get_bind().dialect.name != "postgresql":
        return
    name = f"{study.IssuerOfPatientID}\x1f{study.PatientID}".encode()
    key = int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
