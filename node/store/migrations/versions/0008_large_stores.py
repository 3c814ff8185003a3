"""large stores: what is asked every second, or at every scrape, is answered from indexes"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_WAITING = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_delivery_due_at",
        "delivery",
        ["due_at"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
    op.create_index("ix_model_run_model_state_seconds", "model_run", ["model", "state", "seconds"])
    op.create_index("ix_instance_study_uid_size_bytes", "instance", ["study_uid", "size_bytes"])
    op.drop_index(op.f("ix_instance_study_uid"), "instance")


def downgrade() -> None:
    op.create_index(op.f("ix_instance_study_uid"), "instance", ["study_uid"])
    op.drop_index("ix_instance_study_uid_size_bytes", "instance")
    op.drop_index("ix_model_run_model_state_seconds", "model_run")
    op.drop_index("ix_delivery_due_at", "delivery")
