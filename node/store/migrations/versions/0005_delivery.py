"""delivery: a next try for each result, what is known of each destination, commitments asked for"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("delivery", sa.Column("due_at", sa.DateTime(timezone=True)))
    op.add_column("delivery", sa.Column("failing_since", sa.DateTime(timezone=True)))
    op.add_column(
        "delivery", sa.Column("failures", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("delivery", sa.Column("transfer_syntax_uid", sa.String(64)))
    op.add_column("delivery", sa.Column("transaction_uid", sa.String(64)))
    op.create_index("ix_delivery_state_destination", "delivery", ["state", "destination"])
    op.create_table(
        "destination_state",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_destination_state")),
    )
    op.create_table(
        "commitment_request",
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("job_id", _BIG_KEY, nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("sop_instance_uids", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_commitment_request_job_id_job")
        ),
        sa.PrimaryKeyConstraint("transaction_uid", name=op.f("pk_commitment_request")),
    )
    op.create_index(op.f("ix_commitment_request_job_id"), "commitment_request", ["job_id"])


def downgrade() -> None:
    op.drop_table("commitment_request")
    op.drop_table("destination_state")
    op.drop_index("ix_delivery_state_destination", "delivery")
    for name in ("transaction_uid", "transfer_syntax_uid", "failures", "failing_since", "due_at"):
        op.drop_column("delivery", name)
