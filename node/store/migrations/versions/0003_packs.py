"""packs: objects of medium size stand one after another in one file"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PACKED = sa.text("pack_offset IS NOT NULL")


def upgrade() -> None:
    op.add_column("instance", sa.Column("pack_offset", sa.BigInteger()))
    op.create_index(
        "ix_instance_path_pack_offset",
        "instance",
        ["path", "pack_offset"],
        sqlite_where=_PACKED,
        postgresql_where=_PACKED,
    )


def downgrade() -> None:
    op.drop_index("ix_instance_path_pack_offset", "instance")
    op.drop_column("instance", "pack_offset")
