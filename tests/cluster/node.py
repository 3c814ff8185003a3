"""One Kubernetes node out of its parts: etcd, API server, controllers, scheduler, kubelet, proxy.

In: the folder that `build.sh` filled, and a Docker daemon that has the images. Out: a kubeconfig.
What must hold: it runs in network, mount and process namespaces of its own (see `run.sh`), so that
nothing of it can reach the machine around it or outlive it.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster import dns

HERE = Path(__file__).resolve().parent
ADDRESS = "10.199.0.1"
BRIDGE = "10.198.0.1/16"
_FIXED_FOLDERS = (
    *("/var/log/pods", "/var/log/containers"),
    *("/var/lib/dockershim", "/var/lib/kubelet"),
)
TOKEN = "admin"  # of a cluster that nobody else can reach


class Node:
    """The running node; its processes end with the namespaces."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.docker_host = f"unix://{folder}/docker.sock"

    def start(self, images: Sequence[str], source: str) -> None:
        """Everything, until the node is Ready. `source`: Docker's address that has the images."""
        for name in ("etcd", "docker", "exec", "kubelet", "certs", "logs", "volumes"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        _hide_folders()
        self._network()
        self._docker()
        self._load(images, source)
        self._control_plane()
        self._machine()

    def kubectl(self, *words: str, text: str | None = None) -> str:
        """Run kubectl and return its output. Raises RuntimeError."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def docker(self, *words: str) -> str:
        """Run the Docker client against this node's daemon."""
        command = ["docker", "--host", self.docker_host, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def _network(self) -> None:
        for words in (
            "link set lo up",
            # A pair whose other end leads nowhere: the kernel may have no dummy device.
            "link add node0 type veth peer name nowhere",
            f"addr add {ADDRESS}/24 dev node0",
            "link set node0 up",
            "link set nowhere up",
            # Addresses of Services are caught by the proxy; without a route nothing is sent there.
            "route add default dev node0",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def _docker(self) -> None:
        configuration = {
            "hosts": [self.docker_host],
            "data-root": str(self.folder / "docker"),
            "exec-root": str(self.folder / "exec"),
            "pidfile": str(self.folder / "docker.pid"),
            "bip": BRIDGE,
            "runtimes": {"wrap": {"path": str(HERE / "runc-wrap")}},
            "default-runtime": "wrap",
        }
        path = self.folder / "daemon.json"
        path.write_text(json.dumps(configuration))
        self._spawn("dockerd", ["dockerd", f"--config-file={path}"])
        until("Docker answers", lambda: bool(self.docker("info")))

    def _load(self, images: Sequence[str], source: str) -> None:
        save = subprocess.Popen(["docker", "--host", source, "save", *images], stdout=-1)
        load = ["docker", "--host", self.docker_host, "load"]
        subprocess.run(load, stdin=save.stdout, check=True, stdout=subprocess.DEVNULL)
        if save.wait():
            raise RuntimeError(f"{source} does not have all of {', '.join(images)}")
        tar = ["tar", "-C", str(self._programs), "-c", "pause"]
        pause = subprocess.run(tar, check=True, capture_output=True).stdout
        entry = ["--change", 'ENTRYPOINT ["/pause"]', "-", "localhost/pause:1"]
        command = ["docker", "--host", self.docker_host, "import", *entry]
        subprocess.run(command, input=pause, check=True, stdout=subprocess.DEVNULL)

    def _control_plane(self) -> None:
        keys = self.folder / "certs" / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", keys, "2048"], check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        self.kubeconfig.write_text(json.dumps(_kubeconfig()))
        self._spawn("etcd", ["etcd", f"--data-dir={self.folder}/etcd", "--log-level=error"])
        self._start(
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--cert-dir={self.folder}/certs",
            f"--advertise-address={ADDRESS}",
            "--secure-port=6443",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys}",
            f"--service-account-signing-key-file={keys}",
            f"--token-auth-file={self.folder}/tokens.csv",
            "--authorization-mode=AlwaysAllow",
            "--kubelet-preferred-address-types=InternalIP",
        )
        until("the API server answers", lambda: self.kubectl("get", "--raw", "/readyz") == "ok")
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={keys}",
            f"--root-ca-file={self.folder}/certs/apiserver.crt",
            "--leader-elect=false",
            f"--flex-volume-plugin-dir={self.folder}/plugins",
        )
        self._start("kube-scheduler", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false")

    def _machine(self) -> None:
        self._start(
            "kubelet",
            f"--kubeconfig={self.kubeconfig}",
            f"--docker-endpoint={self.docker_host}",
            f"--root-dir={self.folder}/kubelet",
            "--hostname-override=node",
            f"--node-ip={ADDRESS}",
            f"--cluster-dns={ADDRESS}",
            "--cluster-domain=cluster.local",
            "--anonymous-auth=true",
            "--authorization-mode=AlwaysAllow",
            "--pod-infra-container-image=localhost/pause:1",
            # What a machine that is itself a guest does not allow.
            "--cgroups-per-qos=false",
            "--enforce-node-allocatable=",
            "--fail-swap-on=false",
            "--oom-score-adj=0",
            "--eviction-hard=memory.available<100Mi",
            "--image-gc-high-threshold=100",
            f"--volume-plugin-dir={self.folder}/plugins",
        )
        self._start(
            "kube-proxy",
            f"--kubeconfig={self.kubeconfig}",
            "--hostname-override=node",
            "--proxy-mode=iptables",
            "--masquerade-all",
            "--conntrack-max-per-core=0",
            "--oom-score-adj=0",
        )
        threading.Thread(target=dns.serve, args=(ADDRESS, self._services), daemon=True).start()
        until("the node is ready", lambda: self._ready() == "True", seconds=180)

    def _ready(self) -> str:
        path = '{.items[0].status.conditions[?(@.type=="Ready")].status}'
        return self.kubectl("get", "nodes", "-o", f"jsonpath={path}")

    def _services(self) -> dict[str, list[str]]:
        found = json.loads(self.kubectl("get", "services,endpoints", "-A", "-o", "json"))["items"]
        known: dict[str, list[str]] = {}
        for item in found:
            name = f"{item['metadata']['name']}.{item['metadata']['namespace']}"
            if item["kind"] == "Service" and item["spec"].get("clusterIP") != "None":
                known[name] = [item["spec"]["clusterIP"]]
            elif item["kind"] == "Endpoints":
                subsets = item.get("subsets", [])
                pods = [one["ip"] for part in subsets for one in part.get("addresses", [])]
                known.setdefault(name, pods)
        return known

    def _start(self, program: str, *options: str) -> None:
        self._spawn(program, [str(self._programs / program), *options, "--v=1"])

    def _spawn(self, name: str, command: list[str]) -> None:
        with (self.folder / "logs" / f"{name}.log").open("wb") as log:
            subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def until(what: str, holds: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition, whose errors mean not yet. Raises TimeoutError with the last one."""
    deadline = time.monotonic() + seconds
    reason = "not so"
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            reason = str(error)
        time.sleep(0.5)
    raise TimeoutError(f"after {seconds:.0f} s: {what}: {reason}")


def _hide_folders() -> None:
    """Kubelet writes there whatever it is told: memory, and gone with this mount namespace."""
    for path in map(Path, _FIXED_FOLDERS):
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)


def _kubeconfig() -> dict[str, object]:
    cluster = {"server": f"https://{ADDRESS}:6443", "insecure-skip-tls-verify": True}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }


def programs_folder() -> Path:
    """Where `build.sh` put the programs."""
    home = os.environ.get("SENTINODE_CLUSTER_DIR")
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return Path(home or f"{cache}/sentinode-cluster") / "bin"
