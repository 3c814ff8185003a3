"""Whether the node still holds an instance as it was received, looked up on disk and not believed.

In: a reference from a Storage Commitment request. Out: None, or the Failure Reason that tells the
sender to keep its own copy (PS3.3 C.14.1.1). What must hold: "committed" is said only after the
file's own bytes have been read again; memory stays bounded whatever the size of the file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.logs import log
from node.store.commitments import Reference
from node.store.digest import agrees
from node.store.files import Files
from node.store.originals import PLACE, Place, open_original
from node.store.session import Store
from node.store.tables import Instance

# PS3.3 C.14.1.1
PROCESSING_FAILURE = 0x0110
NO_SUCH_OBJECT_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
DUPLICATE_TRANSACTION_UID = 0x0131
RESOURCE_LIMITATION = 0x0213

# Errors that say something about this moment and nothing about the file.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Copy:
    """What the row of one kept object says about its file."""

    sop_class_uid: str
    dataset_offset: int
    digest: str
    place: Place


def failure_reason(store: Store, files: Files, item: Reference) -> int | None:
    """Why the node cannot commit to this instance; None when it can.

    Where other bytes came under the same UID, every version is kept; which one the asking device
    means cannot be known, so all of its SOP class must be whole.
    """
    with store.reading() as session:
        copies = _copies(session, item.ReferencedSOPInstanceUID)
    if not copies:
        return NO_SUCH_OBJECT_INSTANCE
    meant = [copy for copy in copies if copy.sop_class_uid == item.ReferencedSOPClassUID]
    if not meant:
        return CLASS_INSTANCE_CONFLICT
    return next((reason for copy in meant if (reason := damage(copy, files)) is not None), None)


def is_whole(files: Files, copy: Copy) -> bool:
    """Whether the file has the size and the digest of its row. Raises OSError, ValueError."""
    with open_original(files, copy.place) as stream:
        if stream.seek(0, os.SEEK_END) != copy.place.size_bytes:
            return False
        stream.seek(copy.dataset_offset)
        return agrees(stream, copy.digest)


def damage(copy: Copy, files: Files) -> int | None:
    """The Failure Reason of one kept object; None when its file is whole."""
    try:
        whole, why = is_whole(files, copy), "its bytes are not those received"
    except (OSError, ValueError) as error:  # ValueError: a digest that cannot be checked
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            return RESOURCE_LIMITATION
        whole, why = False, type(error).__name__
    if whole:
        return None
    log.error("a stored instance is damaged", extra={"path": copy.place.path, "reason": why})
    return PROCESSING_FAILURE


def _copies(session: Session, sop_instance_uid: str) -> Sequence[Copy]:
    rows = session.execute(
        select(
            Instance.sop_class_uid,
            Instance.dataset_offset,
            Instance.digest,
            *PLACE,
        )
        .where(Instance.sop_instance_uid == sop_instance_uid)
        .order_by(Instance.id)
    )
    return [Copy(*row[:3], Place(*row[3:])) for row in rows]
