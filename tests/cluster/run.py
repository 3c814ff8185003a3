"""The chart on a real Kubernetes 1.20 node: dry run, install, test, upgrade, failure, rollback.

In: an empty folder, namespaces of this process's own (`run.sh`), and Docker images. Out: a line for
each step, `docs/chart-cluster.md` where --write is given, and exit status 0 only if all held.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import helm_python
import yaml
from pynetdicom import AE, VerificationPresentationContexts

from tests.cluster.node import ADDRESS, HERE, Node, programs_folder, until

ROOT = HERE.parent.parent
CHART = ROOT / "helm" / "sentinode"
PAGE = ROOT / "docs" / "chart-cluster.md"
RELEASE, NAMESPACE = "trial", "clinic"
NODE_PORT = 31112
IMAGES = (
    *(f"sentinode/{name}:latest" for name in ("node", "web", "worker", "triton")),
    *("redis:7-bookworm", "postgres:16-bookworm", "orthancteam/orthanc:24.12.0"),
)
# Volumes that a provisioner would make: claim, size, owner.
VOLUMES = (
    ("trial-sentinode-state", "5Gi", 10001),
    ("data-trial-sentinode-postgresql-0", "1Gi", 999),
    ("data-trial-sentinode-orthanc-0", "1Gi", 10001),
)
# As clusters of many have it: a pod is refused if one container of it has no limit.
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "shared", "namespace": NAMESPACE},
    "spec": {"hard": {"limits.cpu": "200", "limits.memory": "200Gi"}},
}
_WAIT_SECONDS = 600


class Run:
    """The steps, in their order, with what each took."""

    def __init__(self, folder: Path) -> None:
        self.node = Node(programs_folder(), folder)
        # Through JSON, so that what one anchor gave to several components is no longer one object.
        values = yaml.safe_load((HERE / "values.yaml").read_text())
        self.values: dict[str, Any] = json.loads(json.dumps(values))
        self.lines: list[tuple[str, float, str]] = []

    @contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Time one step; what is put into the list is told beside it."""
        seen: list[str] = []
        start = time.monotonic()
        yield seen
        seconds = time.monotonic() - start
        self.lines.append((text, seconds, "; ".join(seen)))
        print(f"{seconds:7.1f} s  {text}  {'; '.join(seen)}", flush=True)

    @contextmanager
    def helm(self) -> Iterator[helm_python.Config]:
        """Helm with this cluster."""
        path = str(self.node.kubeconfig)
        with helm_python.Config(kubeconfig_path=path, namespace=NAMESPACE) as helm:
            yield helm

    def all(self) -> None:
        """Everything."""
        with self.step("node is Ready") as seen:
            self.node.start(IMAGES, os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
            version = json.loads(self.node.kubectl("version", "-o", "json"))
            seen.append(version["serverVersion"]["gitVersion"])
        self.volumes()
        self.dry_runs()
        self.install()
        self.test("helm test")
        self.upgrade()
        self.test("helm test after the upgrade")
        self.install_external()
        self.broken_upgrade()
        self.roll_back()
        self.uninstall()
        self.install_again()

    def volumes(self) -> None:
        """The namespace with its quota, and volumes bound to the claims that will come."""
        self.node.kubectl("create", "namespace", NAMESPACE)
        self.apply(QUOTA)
        for name, size, owner in VOLUMES:
            path = self.node.folder / "volumes" / name
            path.mkdir()
            os.chown(path, owner, owner)
            claim = {"namespace": NAMESPACE, "name": name}
            spec = {
                "capacity": {"storage": size},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": str(path)},
                "claimRef": claim,
            }
            volume = {"apiVersion": "v1", "kind": "PersistentVolume", "spec": spec}
            self.apply({**volume, "metadata": {"name": name}})

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Create objects that are not the chart's."""
        self.node.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(manifests))

    def dry_runs(self) -> None:
        """The API server takes every object of every scenario, through its admission as well."""
        for path in sorted((CHART / "ci").glob("*.yaml")):
            with self.step(f"server-side dry run, {path.stem}") as seen, self.helm() as helm:
                values = yaml.safe_load(path.read_text())
                # Younger than this server, which would refuse it as unknown.
                values.get("dicom", {}).get("loadBalancer", {}).pop("class", None)
                release = helm.install(str(CHART), RELEASE, values, dry_run="server")
                text = release["manifest"]
                told = self.node.kubectl(
                    *("apply", "--dry-run=server", "--namespace", NAMESPACE, "-f", "-"), text=text
                )
                seen.append(f"{len(told.splitlines())} objects")

    def install(self) -> None:
        """From nothing to everything ready."""
        with self.step("helm install --wait") as seen, self.helm() as helm:
            helm.install(str(CHART), RELEASE, self.values, wait="watcher", timeout=_WAIT_SECONDS)
            seen.append(self.pods())
        with self.step("C-ECHO through the NodePort"):
            echo()

    def test(self, text: str) -> None:
        """The chart's own test: a study, to the end."""
        with self.step(text) as seen, self.helm() as helm:
            told = helm.test(RELEASE, timeout=1200, logs=True)
            logs = [line for line in told["logs"].splitlines() if "state" in line]
            result = json.loads(logs[-1][logs[-1].index("{") :])
            kinds = sorted({item["kind"] for item in result["results"]})
            assert result["state"] == "done", result
            seen.append(f"study done, delivered {', '.join(kinds)}")

    def upgrade(self) -> None:
        """Another setting, one more receiver; the generated passwords stay."""
        before = self.passwords()
        self.values["settings"]["study_quiet_seconds"] = 4
        self.values["receiver"]["replicaCount"] = 2
        with self.step("helm upgrade --wait") as seen, self.helm() as helm:
            helm.upgrade(str(CHART), RELEASE, self.values, wait="watcher", timeout=_WAIT_SECONDS)
            seen.append(self.pods())
        assert self.passwords() == before, "the upgrade has changed a password"
        assert self.setting("SENTINODE_STUDY_QUIET_SECONDS") == "4"
        assert self.passwords_without_trial() == before, "a part that comes back has lost its own"
        echo()

    def install_external(self) -> None:
        """A release whose parts are elsewhere: the migration hook, existing Secrets and claim."""
        values = yaml.safe_load((HERE / "external.yaml").read_text())
        with self.step("helm install --wait, all parts external") as seen, self.helm() as helm:
            helm.install(str(CHART), "second", values, wait="watcher", timeout=_WAIT_SECONDS)
            seen.append("after its migration hook")
        with self.step("helm test of it") as seen, self.helm() as helm:
            assert "images accepted" in helm.test("second", timeout=600, logs=True)["logs"]
            seen.append("study accepted")
        with self.step("helm uninstall of it"), self.helm() as helm:
            helm.uninstall("second", timeout=_WAIT_SECONDS, wait="watcher")

    def broken_upgrade(self) -> None:
        """An image that does not exist: the upgrade fails, and the old receivers go on."""
        broken = deepcopy(self.values)
        broken["image"]["node"] = {"tag": "does-not-exist"}
        with self.step("helm upgrade to an image that does not exist") as seen:
            try:
                with self.helm() as helm:
                    helm.upgrade(str(CHART), RELEASE, broken, wait="watcher", timeout=45)
            except helm_python.HelmError:
                seen.append("fails as it should; C-ECHO is still answered")
            else:
                raise AssertionError("the broken upgrade went through")
            echo()

    def roll_back(self) -> None:
        """Back to what worked, with everything that was stored."""
        with self.step("helm rollback --wait") as seen, self.helm() as helm:
            helm.rollback(RELEASE, version=2, wait="watcher", timeout=_WAIT_SECONDS)
            seen.append(self.pods())
        with self.step("studies are still there") as seen:
            listed = self.in_web("/api/studies?state=done")
            assert listed["total"] >= 2, listed
            seen.append(f"{listed['total']} studies, done")
        echo()

    def uninstall(self) -> None:
        """Images, database and passwords stay behind."""
        with self.step("helm uninstall") as seen, self.helm() as helm:
            helm.uninstall(RELEASE, timeout=_WAIT_SECONDS)
            until("the pods are gone", lambda: not self.at_work(), seconds=360)
            kept = self.node.kubectl("get", "pvc,secrets", "-n", NAMESPACE, "-o", "name").split()
            assert "persistentvolumeclaim/trial-sentinode-state" in kept, kept
            assert "secret/trial-sentinode-generated" in kept, kept
            seen.append("the claims and the generated Secret are kept")

    def install_again(self) -> None:
        """A release of the same name takes over what the first one left."""
        with self.step("helm install --wait, again") as seen, self.helm() as helm:
            helm.install(str(CHART), RELEASE, self.values, wait="watcher", timeout=_WAIT_SECONDS)
            listed = self.in_web("/api/studies?state=done")
            assert listed["total"] >= 2, listed
            seen.append(f"with its {listed['total']} studies and passwords")
        echo()

    def at_work(self) -> list[str]:
        """Pods that have not ended. Those of `helm test` stay, with their logs, until removed."""
        unfinished = "--field-selector=status.phase!=Succeeded"
        return self.node.kubectl("get", "pods", "-n", NAMESPACE, unfinished, "-o", "name").split()

    def pods(self) -> str:
        """How many pods run and are ready."""
        items = json.loads(self.node.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))["items"]
        ready = [item for item in items if _is_ready(item)]
        return f"{len(ready)} pods ready"

    def passwords(self) -> dict[str, str]:
        """The generated Secret."""
        name = f"{RELEASE}-sentinode-generated"
        text = self.node.kubectl("get", "secret", name, "-n", NAMESPACE, "-o", "json")
        data: dict[str, str] = json.loads(text)["data"]
        assert all(len(base64.b64decode(value)) >= 32 for value in data.values())
        return data

    def passwords_without_trial(self) -> dict[str, str]:
        """What an upgrade to a database and a broker elsewhere would leave in the Secret."""
        moved = deepcopy(self.values)
        for part, place in (("postgresql", "database"), ("redis", "broker")):
            moved[part]["enabled"] = False
            moved[place] = {"host": "elsewhere.example"}
        with self.helm() as helm:
            text = helm.upgrade(str(CHART), RELEASE, moved, dry_run="server")["manifest"]
        [secret] = [each for each in yaml.safe_load_all(text) if each and each["kind"] == "Secret"]
        data: dict[str, str] = secret["data"]
        return data

    def setting(self, name: str) -> str:
        """A variable as the receiver sees it."""
        place = ["-n", NAMESPACE, f"deployment/{RELEASE}-sentinode-receiver"]
        return self.node.kubectl("exec", *place, "--", "printenv", name).strip()

    def in_web(self, path: str) -> Any:
        """What the web process answers to `admin`, asked beside it."""
        place = ["-n", NAMESPACE, f"deployment/{RELEASE}-sentinode-web"]
        return json.loads(self.node.kubectl("exec", *place, "--", "python3", "-c", _ASK, path))


_ASK = """
import pathlib, sys
import httpx
password = pathlib.Path("/etc/sentinode/secrets/web-admin/password").read_text()
url = "http://127.0.0.1:8080" + sys.argv[1]
print(httpx.get(url, auth=("admin", password)).raise_for_status().text)
"""


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def echo() -> None:
    """C-ECHO as a modality outside the cluster sends it. Raises AssertionError."""
    entity = AE("MODALITY")
    entity.requested_contexts = VerificationPresentationContexts
    association = entity.associate(ADDRESS, NODE_PORT, ae_title="SENTINODE")
    assert association.is_established, "no association through the NodePort"
    status = association.send_c_echo().Status
    association.release()
    assert status == 0x0000


def page(lines: list[tuple[str, float, str]]) -> str:
    """docs/chart-cluster.md."""
    rows = "".join(f"| {text} | {seconds:.1f} | {seen} |\n" for text, seconds, seen in lines)
    return (HERE / "page.md").read_text(encoding="utf-8") + rows


def main(folder: Path, write: bool) -> None:
    """Run everything; on an error tell what the cluster knows of it."""
    run = Run(folder)
    try:
        run.all()
    except BaseException:
        for tell in _WHEN_WRONG:
            print(tell(run.node), flush=True)
        raise
    if write:
        PAGE.write_text(page(run.lines), encoding="utf-8")


def _told(*words: str) -> Callable[[Node], str]:
    def tell(node: Node) -> str:
        try:
            return node.kubectl(*words)
        except (RuntimeError, OSError) as error:
            return str(error)

    return tell


_ALL_LOGS = ("--all-containers", "--prefix", "--tail=15", "--ignore-errors")
_WHEN_WRONG = (
    _told("get", "pods", "-A", "-o", "wide"),
    _told("get", "events", "-n", NAMESPACE, "--field-selector=type!=Normal"),
    _told("logs", "-n", NAMESPACE, "-l", f"app.kubernetes.io/instance={RELEASE}", *_ALL_LOGS),
)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--write" in sys.argv[2:])
