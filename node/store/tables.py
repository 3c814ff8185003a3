"""The tables. One row is written before anything is acknowledged.

Times are UTC with microseconds. Paths are relative to the state directory. Patient data stands in
the columns of `Study` and `Series` that C-FIND answers from (PS3.4 C.6.2.1), and nowhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite would otherwise forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        aware: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC)


class Base(DeclarativeBase):
    """Common metadata; constraint names are fixed so that migrations can address them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


Uid = String(64)
BigKey = BigInteger().with_variant(Integer(), "sqlite")


class Study(Base):
    """One study, its deadline and the state shown to people."""

    __tablename__ = "study"
    # By which retention finds the oldest that are at rest, however many were removed before.
    __table_args__ = (Index("ix_study_state_last_instance_at", "state", "last_instance_at"),)

    study_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    revision: Mapped[int] = mapped_column(default=0)
    # None: nothing waits to become a revision.
    deadline_at: Mapped[datetime | None] = mapped_column(index=True)
    hard_deadline_at: Mapped[datetime | None]
    first_instance_at: Mapped[datetime]
    last_instance_at: Mapped[datetime] = mapped_column(index=True)
    error: Mapped[str | None] = mapped_column(Text)
    # Until when a C-MOVE or C-GET that is under way keeps retention from removing it.
    held_until: Mapped[datetime | None]
    # Laterality and view of the images that some model wants, e.g. ["L-CC"].
    views: Mapped[list[Any]] = mapped_column(default=list)
    # What the first instance said; spelled as DICOM does, in UTF-8, without padding.
    PatientID: Mapped[str] = mapped_column(String(64), default="", index=True)
    IssuerOfPatientID: Mapped[str] = mapped_column(String(64), default="")
    PatientName: Mapped[str] = mapped_column(String(324), default="")
    PatientBirthDate: Mapped[str] = mapped_column(String(8), default="")
    PatientSex: Mapped[str] = mapped_column(String(16), default="")
    StudyDate: Mapped[str] = mapped_column(String(8), default="", index=True)
    StudyTime: Mapped[str] = mapped_column(String(16), default="")
    AccessionNumber: Mapped[str] = mapped_column(String(16), default="", index=True)
    StudyID: Mapped[str] = mapped_column(String(16), default="")
    StudyDescription: Mapped[str] = mapped_column(String(64), default="")
    ReferringPhysicianName: Mapped[str] = mapped_column(String(324), default="")

    series: Mapped[list[Series]] = relationship(back_populates="study")
    instances: Mapped[list[Instance]] = relationship(back_populates="study")
    jobs: Mapped[list[Job]] = relationship(back_populates="study", order_by="Job.revision")


class Series(Base):
    """One series of a study, for C-FIND."""

    __tablename__ = "series"

    # Two studies may claim one Series Instance UID; such data is kept, not refused.
    study_uid: Mapped[str] = mapped_column(ForeignKey("study.study_uid"), primary_key=True)
    series_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    Modality: Mapped[str] = mapped_column(String(16), default="", index=True)
    SeriesNumber: Mapped[str] = mapped_column(String(12), default="")
    SeriesDescription: Mapped[str] = mapped_column(String(64), default="")
    SeriesDate: Mapped[str] = mapped_column(String(8), default="")
    SeriesTime: Mapped[str] = mapped_column(String(16), default="")
    BodyPartExamined: Mapped[str] = mapped_column(String(16), default="")
    Laterality: Mapped[str] = mapped_column(String(16), default="")

    study: Mapped[Study] = relationship(back_populates="series")


class Instance(Base):
    """One durable SOP instance. Written once; later only `revision` changes, once, and `models`.

    Models are taken from images that are rejected, or superfluous beside a better one.
    """

    __tablename__ = "instance"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "digest"),
        # The size is for those who add up: they need not read the rows.
        Index("ix_instance_study_uid_size_bytes", "study_uid", "size_bytes"),
        # By which recovery finds the end of a pack.
        Index(
            "ix_instance_path_pack_offset",
            "path",
            "pack_offset",
            sqlite_where=text("pack_offset IS NOT NULL"),
            postgresql_where=text("pack_offset IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    # Here and there no index of its own: another one begins with it.
    study_uid: Mapped[str] = mapped_column(ForeignKey("study.study_uid"))
    series_uid: Mapped[str] = mapped_column(Uid)
    sop_instance_uid: Mapped[str] = mapped_column(Uid)
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)
    # Of the Part 10 file, or of the pack that holds it; "" when it stands in `content`.
    path: Mapped[str] = mapped_column(String(255))
    # Where it begins in the pack; None for a file of its own.
    pack_offset: Mapped[int | None] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    # Of the data set as received, without preamble and file meta information: the same object
    # from another sender is the same. See `digest.py`.
    digest: Mapped[str] = mapped_column(String(80))
    # Where the data set begins in the file.
    dataset_offset: Mapped[int] = mapped_column(default=0)
    InstanceNumber: Mapped[str] = mapped_column(String(12), default="")
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    peer_host: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    # Same SOP Instance UID, other bytes: kept apart, never analysed, shown to people.
    conflict: Mapped[bool] = mapped_column(default=False)
    # The routing rule that decided, and what it decided.
    route: Mapped[str] = mapped_column(String(64))
    models: Mapped[list[Any]]
    skip_reason: Mapped[str | None] = mapped_column(Text)
    # DICOM keywords that routing and pages need; never patient data.
    attributes: Mapped[dict[str, Any]]
    # First revision that holds this instance; None while it waits.
    revision: Mapped[int | None]
    # The Part 10 file of a small object: one commit makes bytes and row durable together. Last
    # and deferred, so that reading other columns does not read it.
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    study: Mapped[Study] = relationship(back_populates="instances")


class Job(Base):
    """The work on one revision of one study."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("study_uid", "revision"),
        Index("ix_job_state_due_at", "state", "due_at"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    study_uid: Mapped[str] = mapped_column(ForeignKey("study.study_uid"))
    revision: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    due_at: Mapped[datetime]
    rung_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    # Leases that ran out, one after another, because their worker died.
    crashes: Mapped[int] = mapped_column(default=0)
    # Since when the present stage has been failing; None while all is well.
    failing_since: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    complete_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    inferred_at: Mapped[datetime | None]
    encoded_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]

    study: Mapped[Study] = relationship(back_populates="jobs")
    model_runs: Mapped[list[ModelRun]] = relationship(
        back_populates="job", order_by="ModelRun.id", cascade="all, delete-orphan"
    )
    results: Mapped[list[Result]] = relationship(
        back_populates="job", order_by="Result.id", cascade="all, delete-orphan"
    )


class ModelRun(Base):
    """One model on one image: what it said, or why it could not."""

    __tablename__ = "model_run"
    __table_args__ = (
        UniqueConstraint("job_id", "source_sop_uid", "model"),
        # From which metrics are added up, without reading the rows.
        Index("ix_model_run_model_state_seconds", "model", "state", "seconds"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    source_sop_uid: Mapped[str] = mapped_column(Uid)
    model: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))  # as `store.runs` names them
    error: Mapped[str | None] = mapped_column(Text)
    seconds: Mapped[float]
    # {class name: probability}; empty for models that do not classify.
    probabilities: Mapped[dict[str, Any]]

    job: Mapped[Job] = relationship(back_populates="model_runs")
    findings: Mapped[list[FindingRow]] = relationship(
        back_populates="model_run", order_by="FindingRow.number", cascade="all, delete-orphan"
    )


class FindingRow(Base):
    """One finding of one run, in pixels of its image and, where the spacing allows, in mm."""

    __tablename__ = "finding"
    __table_args__ = (UniqueConstraint("model_run_id", "number"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    model_run_id: Mapped[int] = mapped_column(ForeignKey("model_run.id"), index=True)
    number: Mapped[int]  # 1-based, best score first
    kind: Mapped[str] = mapped_column(String(32))
    laterality: Mapped[str | None] = mapped_column(String(1))
    view: Mapped[str | None] = mapped_column(String(16))
    score: Mapped[float]
    box_px: Mapped[list[Any]]  # [x0, y0, x1, y1], x1 and y1 exclusive
    contour_px: Mapped[list[Any]]  # closed outer contour [[x, y], ...], first point not repeated
    area_px: Mapped[int]
    area_mm2: Mapped[float | None]
    long_axis_mm: Mapped[float | None]
    short_axis_mm: Mapped[float | None]
    mask_png: Mapped[bytes] = mapped_column(LargeBinary)  # crop of box_px, 1-bit PNG
    tracking_uid: Mapped[str] = mapped_column(Uid)

    model_run: Mapped[ModelRun] = relationship(back_populates="findings")


class Combination(Base):
    """Whose analysis goes with a job's into a combined report; decided once for each job."""

    __tablename__ = "combination"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True, autoincrement=False)
    # The job itself where its study holds both modalities; None: no combined report of its own.
    partner_job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"), index=True)
    # Whose combined report this one's replaces.
    predecessor_job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    decided_at: Mapped[datetime]


class Result(Base):
    """One encoded result object on disk."""

    __tablename__ = "result"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))  # node.destinations.ResultKind
    # "ohif" or "plain" where viewers need different bytes, else "".
    variant: Mapped[str] = mapped_column(String(8), default="")
    sop_instance_uid: Mapped[str] = mapped_column(Uid, unique=True)
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    series_uid: Mapped[str] = mapped_column(Uid)
    source_sop_uid: Mapped[str | None] = mapped_column(Uid)
    path: Mapped[str] = mapped_column(String(255))
    size_bytes: Mapped[int] = mapped_column(BigInteger)

    job: Mapped[Job] = relationship(back_populates="results")
    deliveries: Mapped[list[Delivery]] = relationship(
        back_populates="result", order_by="Delivery.id", cascade="all, delete-orphan"
    )


class Delivery(Base):
    """One result on its way to one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("result_id", "destination"),
        Index("ix_delivery_state_destination", "state", "destination"),
        # Of the few that wait: by which the sweeper finds impossible times.
        Index(
            "ix_delivery_due_at",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    result_id: Mapped[int] = mapped_column(ForeignKey("result.id"), index=True)
    destination: Mapped[str] = mapped_column(String(64))
    # pending | sent | asked | confirmed | refused | dead
    state: Mapped[str] = mapped_column(String(16))
    # How often it was sent.
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    # The next try; None: at once.
    due_at: Mapped[datetime | None]
    # Tries that failed one after another, and since when; none while all is well.
    failures: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[datetime | None]
    # In which it was sent last.
    transfer_syntax_uid: Mapped[str | None] = mapped_column(Uid)
    # Of the Storage Commitment request that it waits for.
    transaction_uid: Mapped[str | None] = mapped_column(Uid)

    result: Mapped[Result] = relationship(back_populates="deliveries")


class DestinationState(Base):
    """What is known of a destination that failed last; none of one that works."""

    __tablename__ = "destination_state"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    failing_since: Mapped[datetime | None]
    # Before this nobody tries; after it whoever moves it on.
    due_at: Mapped[datetime]
    error: Mapped[str | None] = mapped_column(Text)


class CommitmentRequest(Base):
    """One Storage Commitment request that we made of a destination (PS3.4 annex J)."""

    __tablename__ = "commitment_request"

    transaction_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    destination: Mapped[str] = mapped_column(String(64))
    sop_instance_uids: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(String(16))  # asked | reported | refused
    asked_at: Mapped[datetime]
    reported_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)


class Event(Base):
    """The timeline of a study, for people."""

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    study_uid: Mapped[str] = mapped_column(ForeignKey("study.study_uid"), index=True)
    revision: Mapped[int]
    at: Mapped[datetime]
    stage: Mapped[str] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(Text)


class Process(Base):
    """A running process; its last beat proves that it still turns its loop."""

    __tablename__ = "process"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))  # receive | sweep | worker
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]


class Commitment(Base):
    """One Storage Commitment request that a modality made of us (PS3.4 annex J)."""

    __tablename__ = "commitment"
    __table_args__ = (
        # The same request again, from whichever process, is the same row.
        UniqueConstraint("transaction_uid", "calling_ae_title", "items_sha256"),
        Index("ix_commitment_state_due_at", "state", "due_at"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    # No index of its own: the unique constraint begins with it.
    transaction_uid: Mapped[str] = mapped_column(Uid)
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    peer_host: Mapped[str] = mapped_column(String(64))
    requested_at: Mapped[datetime]
    # Referenced SOP Sequence as asked: [[sop_class_uid, sop_instance_uid], ...]
    items: Mapped[list[Any]]
    # Of the items in sorted order.
    items_sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))  # waiting | reported | abandoned
    # Claims so far; whoever holds the row writes only while this is still its own number.
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    reported_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)


class PriorRequest(Base):
    """One question to an archive for prior studies of a study's patient."""

    __tablename__ = "prior_request"
    __table_args__ = (
        UniqueConstraint("study_uid", "rule"),
        Index("ix_prior_request_state_due_at", "state", "due_at"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    study_uid: Mapped[str] = mapped_column(ForeignKey("study.study_uid"), index=True)
    rule: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))  # waiting | done | failed
    # Counts up with every claim and never down: who claimed last is the only one that may write.
    attempts: Mapped[int] = mapped_column(default=0)
    # When the next try is due; while one is under way, until when it may stay silent.
    due_at: Mapped[datetime]
    failing_since: Mapped[datetime | None]
    found: Mapped[list[Any]] = mapped_column(default=list)  # Study Instance UIDs
    error: Mapped[str | None] = mapped_column(Text)


class Removal(Base):
    """One study that retention removed: the record of it, and what is left to do on the disk."""

    __tablename__ = "removal"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    study_uid: Mapped[str] = mapped_column(ForeignKey("study.study_uid"), index=True)
    removed_at: Mapped[datetime]
    # That nothing had happened to it for so many days was the rule, and who applied it.
    keep_days: Mapped[int]
    rule: Mapped[str] = mapped_column(String(16))  # KEEP_DAYS | by hand
    instances: Mapped[int]
    received_bytes: Mapped[int] = mapped_column(BigInteger)
    results: Mapped[int]
    result_bytes: Mapped[int] = mapped_column(BigInteger)
    # Folders and packs that may hold files of it still.
    paths: Mapped[list[Any]]
    # When they are looked at next; None: they are gone.
    due_at: Mapped[datetime | None] = mapped_column(index=True)
