"""combination: with which other study's analysis a job was combined"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "combination",
        sa.Column("job_id", _BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("partner_job_id", _BIG_KEY, nullable=True),
        sa.Column("predecessor_job_id", _BIG_KEY, nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_combination_job_id_job")),
        sa.ForeignKeyConstraint(
            ["partner_job_id"], ["job.id"], name=op.f("fk_combination_partner_job_id_job")
        ),
        sa.ForeignKeyConstraint(
            ["predecessor_job_id"], ["job.id"], name=op.f("fk_combination_predecessor_job_id_job")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_combination")),
    )
    op.create_index(op.f("ix_combination_partner_job_id"), "combination", ["partner_job_id"])


def downgrade() -> None:
    op.drop_table("combination")
