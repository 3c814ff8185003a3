"""removal: studies that retention removed"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "removal",
        sa.Column("id", _BIG_KEY, nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("keep_days", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(16), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("results", sa.Integer(), nullable=False),
        sa.Column("result_bytes", sa.BigInteger(), nullable=False),
        sa.Column("paths", sa.JSON(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_uid"], ["study.study_uid"], name=op.f("fk_removal_study_uid_study")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removal")),
    )
    op.create_index(op.f("ix_removal_study_uid"), "removal", ["study_uid"])
    op.create_index(op.f("ix_removal_due_at"), "removal", ["due_at"])
    op.add_column("study", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_study_state_last_instance_at", "study", ["state", "last_instance_at"])
    op.drop_index(op.f("ix_study_state"), "study")


def downgrade() -> None:
    op.create_index(op.f("ix_study_state"), "study", ["state"])
    op.drop_index("ix_study_state_last_instance_at", "study")
    op.drop_column("study", "held_until")
    op.drop_index(op.f("ix_removal_due_at"), "removal")
    op.drop_index(op.f("ix_removal_study_uid"), "removal")
    op.drop_table("removal")
