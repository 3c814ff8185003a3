"""the front door: identity for queries, series, storage commitment, prior studies

The digest of an instance is that of its file from `dataset_offset` on; rows written before this
migration keep SHA-256 and offset 0, which is what their digest covers.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_IDENTITY = {
    "PatientID": 64,
    "IssuerOfPatientID": 64,
    "PatientName": 324,
    "PatientBirthDate": 8,
    "PatientSex": 16,
    "StudyDate": 8,
    "StudyTime": 16,
    "AccessionNumber": 16,
    "StudyID": 16,
    "StudyDescription": 64,
    "ReferringPhysicianName": 324,
}
_SERIES = {
    "Modality": 16,
    "SeriesNumber": 12,
    "SeriesDescription": 64,
    "SeriesDate": 8,
    "SeriesTime": 16,
    "BodyPartExamined": 16,
    "Laterality": 16,
}
_BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _study()
    _series()
    _instance()
    _commitment()
    _prior_request()


def _study() -> None:
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.add_column(sa.Column("views", sa.JSON(), nullable=False, server_default="[]"))
        for name, length in _IDENTITY.items():
            batch_op.add_column(_text(name, length))
        for name in ("PatientID", "StudyDate", "AccessionNumber"):
            batch_op.create_index(batch_op.f(f"ix_study_{name}"), [name], unique=False)


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        *(_text(name, length) for name, length in _SERIES.items()),
        sa.ForeignKeyConstraint(
            ["study_uid"], ["study.study_uid"], name=op.f("fk_series_study_uid_study")
        ),
        sa.PrimaryKeyConstraint("study_uid", "series_uid", name=op.f("pk_series")),
    )
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_series_Modality"), ["Modality"], unique=False)


def _instance() -> None:
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("dataset_offset", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(_text("InstanceNumber", 12))
        batch_op.add_column(sa.Column("content", sa.LargeBinary(), nullable=True))
        batch_op.drop_index(batch_op.f("ix_instance_sop_instance_uid"))
        batch_op.drop_constraint(batch_op.f("uq_instance_sop_instance_uid"), type_="unique")
        batch_op.alter_column(
            "sha256",
            new_column_name="digest",
            existing_type=sa.String(length=64),
            type_=sa.String(length=80),
        )
    # In a batch of its own: SQLite's copy of the table loses a constraint that is made in the
    # same batch as its column's new name, without a word.
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.create_unique_constraint(
            batch_op.f("uq_instance_sop_instance_uid"), ["sop_instance_uid", "digest"]
        )
    op.execute("UPDATE instance SET digest = 'sha256:' || digest")


def _commitment() -> None:
    op.create_table(
        "commitment",
        sa.Column("id", _BIG_KEY, nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("peer_host", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.Column("items_sha256", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment")),
        sa.UniqueConstraint(
            "transaction_uid",
            "calling_ae_title",
            "items_sha256",
            name=op.f("uq_commitment_transaction_uid"),
        ),
    )
    with op.batch_alter_table("commitment", schema=None) as batch_op:
        batch_op.create_index("ix_commitment_state_due_at", ["state", "due_at"], unique=False)


def _prior_request() -> None:
    op.create_table(
        "prior_request",
        sa.Column("id", _BIG_KEY, nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_uid"], ["study.study_uid"], name=op.f("fk_prior_request_study_uid_study")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prior_request")),
        sa.UniqueConstraint("study_uid", "rule", name=op.f("uq_prior_request_study_uid")),
    )
    with op.batch_alter_table("prior_request", schema=None) as batch_op:
        batch_op.create_index("ix_prior_request_state_due_at", ["state", "due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_prior_request_study_uid"), ["study_uid"], unique=False)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=False, server_default="")
