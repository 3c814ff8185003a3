"""Run in a container of the worker image: what became of studies, as the archive itself tells.

In: Study Instance UIDs as arguments. Out: one JSON object on standard output, by UID.
"""

from __future__ import annotations

import json
import sys

from node.errors import NotFoundError
from node.settings import load_settings
from node.status import study_status
from node.store.session import open_store
from stack.archive import differences


def main() -> None:
    """Print state, revision, number of instances and of results, and what is wrong."""
    settings = load_settings()
    store = open_store(settings)
    found = {}
    for uid in sys.argv[1:]:
        try:
            with store.reading() as session:
                status = study_status(session, uid)
        except NotFoundError:
            found[uid] = {"state": "unknown"}
            continue
        kinds = [row["kind"] for row in status["results"]]
        found[uid] = {
            "state": status["state"],
            "error": status["error"],
            "revision": status["revision"],
            "instances": status["instances"],
            "SEG": kinds.count("SEG"),
            "SR": kinds.count("SR"),
            "wrong": differences(settings.orthanc, status, settings.orthanc_account()),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
