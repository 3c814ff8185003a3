"""Run in a container of the worker image: whether every object of the store has its bytes.

Out: one JSON object on standard output. Received objects are read as Storage Commitment reads them,
results compared with the size in their row.
"""

from __future__ import annotations

import json

from sqlalchemy import select

from node.commitment.custody import failure_reason
from node.settings import load_settings
from node.store.commitments import Reference
from node.store.files import Files
from node.store.session import open_store
from node.store.tables import Instance, Result, Study


def main() -> None:
    """Print how many there are, and the UIDs of what is damaged or missing."""
    settings = load_settings()
    store, files = open_store(settings), Files(settings.state_dir)
    with store.reading() as session:
        studies = list(session.scalars(select(Study.study_uid)))
        rows = select(Instance.sop_class_uid, Instance.sop_instance_uid)
        received = [Reference(*row) for row in session.execute(rows)]
        results = list(session.execute(select(Result.path, Result.size_bytes)))
    damaged = [
        item.ReferencedSOPInstanceUID
        for item in received
        if failure_reason(store, files, item) is not None
    ]
    for path, size_bytes in results:
        file = files.absolute(path)
        if not file.is_file() or file.stat().st_size != size_bytes:
            damaged.append(path)
    counts = {"studies": len(studies), "received": len(received), "results": len(results)}
    print(json.dumps(counts | {"damaged": damaged}))


if __name__ == "__main__":
    main()
