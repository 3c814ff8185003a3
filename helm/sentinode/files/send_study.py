"""What `helm test` runs: draw a study, send it as a modality does, see what becomes of it.

Exit status 0 only if every image is accepted and the study reaches the state that is asked for.
"""

import json
import os
import sys
import time
from pathlib import Path

import httpx

from node.send import find_instances, parse_peer, send_instances
from phantoms.study import StudyOptions, write_study

POLL_SECONDS = 2.0
ENDS = ("done", "failed", "skipped")


def main() -> int:
    """Send, then ask until the study is where it should be."""
    study = Path("/tmp/study")  # noqa: S108  # a volume of this pod
    # Another patient each time: a study that is known would prove nothing.
    seed = int(time.time()) % 999_999_999
    views = tuple(os.environ["TEST_VIEWS"].split(","))
    options = StudyOptions(views, rows=int(os.environ["TEST_SIZE_PX"]), processing=False)
    write_study(study, seed, options)
    files = find_instances([study])
    node = parse_peer(os.environ["TEST_NODE"])
    outcomes = send_instances(files, node, os.environ["TEST_AE_TITLE"])
    refused = [outcome.text for outcome in outcomes if not outcome.accepted]
    if refused:
        print(f"{len(refused)} of {len(outcomes)} images refused: {refused[0]}")
        return 1
    print(f"{len(outcomes)} images accepted, study {files[0].study_uid}", flush=True)
    return wait(files[0].study_uid, os.environ["TEST_UNTIL"], float(os.environ["TEST_SECONDS"]))


def wait(study_uid: str, until: str, limit_seconds: float) -> int:
    """Ask the web process until the study has ended, or is known where that is enough."""
    deadline = time.monotonic() + limit_seconds
    state = "unknown to the web process"
    while time.monotonic() < deadline:
        found = ask(study_uid)
        if found is not None and found["state"] != state:
            state = found["state"]
            print(f"study is {state}", flush=True)
        if found is not None and (until == "received" or state in ENDS):
            print(json.dumps({name: found[name] for name in ("state", "error", "results")}))
            return 0 if until == "received" or state == "done" else 1
        time.sleep(POLL_SECONDS)
    print(f"after {limit_seconds:.0f} s the study is {state}; look at the dashboard")
    return 1


def ask(study_uid: str) -> dict | None:
    """The study's status; None while the web process does not know it or does not answer."""
    url = f"{os.environ['TEST_WEB']}/api/studies/{study_uid}"
    account = (os.environ["TEST_ACCOUNT"], os.environ["TEST_PASSWORD"].strip())
    try:
        answer = httpx.get(url, auth=account, timeout=10, trust_env=False)
    except httpx.HTTPError as error:
        print(f"the web process does not answer ({error})", flush=True)
        return None
    if answer.status_code != 200:
        print(f"the web process answers {answer.status_code}", flush=True)
        return None
    return answer.json()


if __name__ == "__main__":
    sys.exit(main())
