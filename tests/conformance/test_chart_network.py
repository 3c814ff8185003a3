"""Network policies of the chart: what a value opens, and that an empty list opens nothing. IPv6."""

from __future__ import annotations

import socket
import subprocess
import time
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from stack.triton import link_python_backend, tritonserver_command
from tests.conformance.chart import OPERATORS, Manifest, find, objects, render, values_of
from tests.peers.ports import free_ports

_FITTING = {"database": {"host": "db"}, "broker": {"host": "mq"}}


def _policies(values: dict[str, Any], **more: Any) -> dict[str, Manifest]:
    """Spec by component."""
    return {
        item["metadata"]["name"].removeprefix("trial-sentinode-"): item["spec"]
        for item in objects(render(values, **more))
        if item["kind"] == "NetworkPolicy"
    }


def _ports(rules: list[Any]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


@pytest.mark.parametrize("operators", [OPERATORS, ()])
def test_keda_reads_the_queue_where_it_scales_by_it(operators: tuple[str, ...]) -> None:
    """The trial's Redis lets KEDA in; without KEDA, only the node's own pods."""
    workers = {"analysis": {"autoscaling": {"enabled": True}}}
    values = {"database": {"host": "db"}, "redis": {"enabled": True}, "workers": workers}
    [rule] = _policies(values, operators=operators)["redis"]["ingress"]
    outside = [peer["namespaceSelector"] for peer in rule["from"] if "namespaceSelector" in peer]
    keda = {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}
    assert outside == ([keda] if operators else [])


def test_the_viewer_reaches_an_archive_elsewhere() -> None:
    """What `settings.orthanc_url` names is opened for the web process, on its port."""
    settings = {"orthanc_url": "https://pacs.example:8443/orthanc"}
    values = {**_FITTING, "settings": settings, "networkPolicy": {"archiveCIDRs": ["10.0.0.0/24"]}}
    opened = {
        "ports": [{"protocol": "TCP", "port": 8443}],
        "to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}],
    }
    assert opened in _policies(values)["web"]["egress"]


def test_earlier_results_can_be_taken_back() -> None:
    """`replace: orthanc-delete` calls Orthanc's REST API, on a port of its own."""
    pacs = {"name": "a", "protocol": "c-store", "ae_title": "A", "host": "a", "port": 104}
    pacs |= {"confirm": "c-find", "replace": "orthanc-delete", "orthanc_url": "http://a:8042"}
    found = _policies({**_FITTING, "destinations": [pacs]})
    assert _ports(found["worker-delivery"]["egress"]) >= {104, 8042}


def test_every_triton_elsewhere_is_reached() -> None:
    """`triton.url` may name several, each with a port of its own."""
    triton = {"enabled": False, "url": "a.example:8001, b.example:8001,[fd00::7]:9001"}
    policy = _policies({**_FITTING, "triton": triton})["worker-analysis"]
    assert _ports(policy["egress"]) >= {8001, 9001}


def test_an_archive_in_the_cluster_can_be_named() -> None:
    """Beside networks, pods by their labels."""
    pods = {"podSelector": {"matchLabels": {"app": "orthanc"}}}
    destinations = [{"name": "a", "protocol": "stow", "url": "http://orthanc:8042/dicom-web"}]
    only = {"archiveCIDRs": [], "archiveTo": [pods]}
    values = {**_FITTING, "destinations": destinations, "networkPolicy": only}
    opened = {"ports": [{"protocol": "TCP", "port": 8042}], "to": [pods]}
    assert opened in _policies(values)["worker-delivery"]["egress"]


def test_priors_of_the_example_may_come_in() -> None:
    """What is asked for by C-MOVE the archive brings by a call of its own, past every list."""
    values = values_of("production")
    titles = values["settings"]["dicom_allowed_ae_titles"]
    doors = (
        values["dicom"]["loadBalancer"]["sourceRanges"],
        values["networkPolicy"]["modalityCIDRs"],
    )
    peers = {peer["ae_title"]: ip_address(peer["host"]) for peer in values["peers"]}
    asked = [rule["source"] for rule in values["priors"] if rule.get("retrieve") != "c-get"]
    assert asked
    for source in asked:
        assert source in titles
        for networks in doors:
            assert any(peers[source] in ip_network(network) for network in networks)


def test_an_empty_list_lets_nobody_in_or_out() -> None:
    """Kubernetes reads an empty `from` or `to` as everybody; such a rule is not written."""
    nobody = {"webFrom": [], "metricsFrom": [], "modalityCIDRs": [], "archiveCIDRs": []}
    destinations = [{"name": "a", "protocol": "stow", "url": "https://a"}]
    values = {**_FITTING, "networkPolicy": nobody, "destinations": destinations}
    found = _policies(values)
    for name, spec in found.items():
        for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
            assert all(rule.values()), name
    assert _ports(found["triton"]["ingress"]) == {8001}
    assert 443 not in _ports(found["worker-delivery"]["egress"])
    for component in ("web", "receiver"):
        [rule] = found[component]["ingress"]
        [peer] = rule["from"]
        [labels] = peer["podSelector"]["matchExpressions"]
        assert labels["values"] == ["test"]


def test_services_for_people_outside_want_a_network() -> None:
    """With an ipBlock in webFrom a Service of another type is written."""
    outside = [{"ipBlock": {"cidr": "10.20.0.0/16"}}]
    values = {
        **_FITTING,
        "web": {"service": {"type": "NodePort"}},
        "networkPolicy": {"webFrom": outside},
    }
    service = find(objects(render(values)), "Service", "web")
    assert service["spec"]["type"] == "NodePort"
    [rule] = _policies(values)["web"]["ingress"]
    assert outside[0] in rule["from"]


@pytest.mark.skipif(find_spec("pytriton") is None, reason="nvidia-pytriton is not installed")
def test_triton_takes_ipv6(tmp_path: Path) -> None:
    """Where pods have no other addresses: the real server listens with what the chart writes."""
    backends = link_python_backend(tmp_path / "backends")
    repository = tmp_path / "models"
    repository.mkdir()
    ports = free_ports(3)
    argv, variables = tritonserver_command(repository, backends, *ports)
    argv = [word for word in argv if "-address=" not in word] + _addresses("::")
    server = subprocess.Popen(
        argv, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        for port in ports:
            assert _listens("::1", port), f"{ports.index(port)} of http, gRPC and metrics"
    finally:
        server.terminate()
        server.wait(30)
    assert _addresses("0.0.0.0") == []  # as the server does by itself
    assert len(_addresses("10.0.0.1")) == 3


def _addresses(address: str) -> list[str]:
    """Options of the chart's Triton that say where it listens."""
    found = objects(render({**_FITTING, "triton": {"listenAddress": address}}))
    spec = find(found, "Deployment", "triton")["spec"]["template"]["spec"]
    return [word for word in spec["containers"][0]["args"] if "-address=" in word]


def _listens(host: str, port: int) -> bool:
    for _ in range(300):
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False
