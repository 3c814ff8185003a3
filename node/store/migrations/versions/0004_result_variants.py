"""variants: a SEG or SR may be written once more for viewers that need other bytes"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What was written before is taken for the variant of the default profile.
    op.add_column(
        "result", sa.Column("variant", sa.String(8), nullable=False, server_default="ohif")
    )


def downgrade() -> None:
    op.drop_column("result", "variant")
