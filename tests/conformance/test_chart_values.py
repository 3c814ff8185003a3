"""The chart's values: what is unknown, renamed or contradictory is refused, and told what to do."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import pytest
from helm_python import HelmRenderError, HelmValuesError
from kombu import Connection

from scripts import chart_schema
from tests.conformance.chart import (
    CHART,
    OPERATORS,
    SCENARIOS,
    environment,
    find,
    objects,
    pods,
    render,
    values_of,
    written,
)

# Enough to install; each case below adds what is wrong.
_FITTING = {"database": {"host": "db"}, "broker": {"host": "mq"}}
_CA_FILE = "/etc/sentinode/secrets/pacs/ca.crt"
_KEY_FILE = "/etc/sentinode/secrets/own/tls.key"
_SCHEMA = chart_schema.closed_schema()
_RENAMED = chart_schema.renamed()


def _closed(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Path of every object that lists its properties; `*` stands for an entry of a list."""
    if schema.get("additionalProperties") is False:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from _closed(child, (*path, name))
    if isinstance(schema.get("items"), dict):
        yield from _closed(schema["items"], (*path, "*"))


def _tree(paths: Iterable[tuple[str, ...]], leaf: Any) -> Any:
    """Nested values with `leaf` at every path; `*` is the only entry of a list."""
    tree: dict[str, Any] = {}
    for path in paths:
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = leaf
    return _lists(tree)


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if "*" in node:
        return [_lists(node["*"])]
    return {name: _lists(child) for name, child in node.items()}


@cache
def _refusal_of_unknown() -> str:
    with pytest.raises(HelmValuesError) as refusal:
        render(_tree([(*path, "surprise") for path in _closed(_SCHEMA)], 1))
    return str(refusal.value)


@cache
def _refusal_of_renamed() -> str:
    with pytest.raises(HelmValuesError) as refusal:
        render(_tree([tuple(path.split(".")) for path in _RENAMED], "x"))
    return str(refusal.value)


@pytest.mark.parametrize("path", list(_closed(_SCHEMA)), ids=".".join)
def test_unknown_key_is_refused(path: tuple[str, ...]) -> None:
    """At every level an unknown key is named, together with those that are known there."""
    place = "/".join(["", *("0" if name == "*" else name for name in path)])
    text = _refusal_of_unknown()
    assert f"at '{place}': additional properties 'surprise' not allowed" in text
    schema = _SCHEMA
    for name in path:
        schema = schema["items"] if name == "*" else schema["properties"][name]
    assert ", ".join(f"'{name}'" for name in schema["propertyNames"]["enum"]) in text


@pytest.mark.parametrize("path", list(_RENAMED))
def test_renamed_key_says_what_to_write(path: str) -> None:
    """A key that has moved is refused with the new one."""
    place = "/" + path.replace(".", "/")
    assert f"at '{place}': value must be '{_RENAMED[path]}'" in _refusal_of_renamed()


def test_renamed_keys_are_refused_without_the_schema(tmp_path: Path) -> None:
    """Who skips the schema is told by the templates, by NOTES.txt among them."""
    copy = shutil.copytree(CHART, tmp_path / "sentinode")
    (copy / "values.schema.json").unlink()
    values = _tree([tuple(path.split(".")) for path in _RENAMED], "x")
    with helm_python.Chart.load(str(copy)) as chart, pytest.raises(HelmRenderError) as refusal:
        chart.render(values)
    for path, hint in _RENAMED.items():
        assert f"{path} is not a value of this chart: {hint}" in str(refusal.value)
    assert "sentinode.validate" in (CHART / "templates" / "NOTES.txt").read_text()


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"database": {"host": ""}}, "Set database.host"),
        ({"broker": {"host": ""}}, "Set broker.host"),
        ({"postgresql": {"enabled": True}}, "Set postgresql.enabled to false"),
        ({"redis": {"enabled": True}}, "Set redis.enabled to false"),
        ({"broker": {"host": "mq", "caSecretName": "ca"}}, "Set broker.tls to true"),
        ({"database": {"kind": "sqlite"}}, "Set state.accessMode to ReadWriteOnce"),
        (
            {"database": {"kind": "sqlite", "migration": "hook"}},
            "database.migration hook cannot reach a SQLite file",
        ),
        (
            {"database": {"kind": "sqlite"}, "sweeper": {"replicaCount": 2}},
            "Set sweeper.replicaCount to 1",
        ),
        (
            {"database": {"host": "", "migration": "hook"}, "postgresql": {"enabled": True}},
            "runs before the trial database exists",
        ),
        ({"state": {"kind": "hostPath"}}, "needs state.hostPath"),
        ({"state": {"node": "a"}}, "need state.kind hostPath"),
        (
            {"dicom": {"exposure": "HostPort"}, "state": {"accessMode": "ReadWriteOnce"}}
            | {"receiver": {"replicaCount": 2}},
            "settings.dicom_processes",
        ),
        ({"dicom": {"tls": {"enabled": True}}}, "needs dicom.tls.secretName"),
        ({"dicom": {"tls": {"plain": False}}}, "Set dicom.tls.enabled to true"),
        (
            {"dicom": {"tls": {"enabled": True, "secretName": "a", "port": 11112}}},
            "dicom.port and dicom.tls.port are the same",
        ),
        (
            {"dicom": {"exposure": "NodePort", "loadBalancer": {"ip": "10.0.0.1"}}},
            "needs dicom.exposure LoadBalancer",
        ),
        ({"triton": {"enabled": False}}, "needs triton.url"),
        ({"triton": {"url": "a:1"}}, "Set triton.enabled to false"),
        ({"triton": {"modelRepository": {"source": "pvc"}}}, "modelRepository.claimName"),
        ({"triton": {"modelRepository": {"source": "s3"}}}, "modelRepository.uri"),
        (
            {"settings": {"min_free_bytes": 21474836480}},
            "monitoring.prometheusRule.freeDiskBytes is not above settings.min_free_bytes",
        ),
        ({"web": {"ingress": {"enabled": True}}}, "needs web.ingress.host"),
        ({"web": {"httpRoute": {"enabled": True}}}, "needs web.httpRoute.parentRefs"),
        (
            {"peers": [{"ae_title": "A", "host": "a", "port": 1, "ca_file": _CA_FILE}]},
            "Add to secretMounts an entry named pacs",
        ),
        (
            {"peers": [{"ae_title": "A", "host": "a", "port": 1, "key_file": _KEY_FILE}]},
            "Add to secretMounts an entry named own",
        ),
        (
            {"settings": {"stow_token_file": "/etc/sentinode/secrets/stow/token"}},
            "Add to secretMounts an entry named stow",
        ),
        ({"web": {"service": {"type": "NodePort"}}}, "Add an ipBlock"),
        ({"secretMounts": [{"name": "orthanc", "secretName": "a"}]}, "Choose another"),
        ({"secretMounts": [{"name": "web-admin", "secretName": "a"}]}, "Choose another"),
        (
            {"settings": {"web_session_key_file": "/etc/sentinode/secrets/session/key"}},
            "Add to secretMounts an entry named session",
        ),
        ({"test": {"account": {"secretName": "a"}}}, "needs test.account.name"),
        (
            {"broker": {"host": "", "url": {"secretName": "a"}}}
            | {"workers": {"analysis": {"autoscaling": {"enabled": True}}}},
            "KEDA cannot read broker.url",
        ),
    ],
)
def test_contradiction_says_what_to_set(values: dict[str, Any], hint: str) -> None:
    """What no schema can say is said by the templates, with the values to change."""
    merged = {**_FITTING, **values}
    with pytest.raises(HelmRenderError, match="These values do not fit together") as refusal:
        render(merged)
    assert hint in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"receiver": {"replicaCount": "three"}}, "at '/receiver/replicaCount'"),
        ({"settings": {"dicom_processes": 65}}, "at '/settings/dicom_processes'"),
        ({"settings": {"ae_title": 5}}, "at '/settings/ae_title'"),
        ({"dicom": {"exposure": "Ingress"}}, "'LoadBalancer', 'NodePort', 'HostPort', 'ClusterIP'"),
        ({"destinations": [{"name": "a"}]}, "missing property 'protocol'"),
    ],
)
def test_wrong_value_is_refused(values: dict[str, Any], text: str) -> None:
    """Types, ranges and choices are looked at before anything is installed."""
    with pytest.raises(HelmValuesError) as refusal:
        render({**_FITTING, **values})
    assert text in str(refusal.value)


def test_one_node_keeps_its_pods_together() -> None:
    """A folder that one node can mount binds every pod that needs it to one node."""
    term = {
        "labelSelector": {
            "matchLabels": {"app.kubernetes.io/instance": "trial", "sentinode/state": "shared"}
        },
        "topologyKey": "kubernetes.io/hostname",
    }
    for item in written("minimal"):
        if item["kind"] == "Deployment" and not item["metadata"]["name"].endswith("-triton"):
            template = item["spec"]["template"]
            required = template["spec"]["affinity"]["podAffinity"]
            assert required == {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
            assert template["metadata"]["labels"]["sentinode/state"] == "shared"


@pytest.mark.parametrize(
    ("exposure", "kind", "policy"),
    [
        ("LoadBalancer", "LoadBalancer", "Local"),
        ("NodePort", "NodePort", "Local"),
        ("HostPort", "ClusterIP", None),
        ("ClusterIP", "ClusterIP", None),
    ],
)
def test_modalities_keep_their_address(exposure: str, kind: str, policy: str | None) -> None:
    """The receiver sees who calls, so that allow-lists mean something."""
    found = objects(render({**_FITTING, "dicom": {"exposure": exposure, "port": 104}}))
    service = find(found, "Service", "receiver")["spec"]
    assert (service["type"], service.get("externalTrafficPolicy")) == (kind, policy)
    pod = find(found, "Deployment", "receiver")["spec"]["template"]["spec"]
    [port] = pod["containers"][0]["ports"]
    assert port.get("hostPort") == (104 if exposure == "HostPort" else None)
    assert port["containerPort"] == 11112


def test_operators_decide_what_scales_and_watches() -> None:
    """KEDA replaces the HPA of the workers; without operators nothing of theirs is written."""
    values = values_of("production")
    with_all = [item["kind"] for item in objects(render(values, operators=OPERATORS))]
    without = [item["kind"] for item in objects(render(values, operators=()))]
    assert with_all.count("ScaledObject") == 1
    assert "HorizontalPodAutoscaler" not in with_all
    assert with_all.count("ServiceMonitor") == 2
    assert with_all.count("PrometheusRule") == 1
    assert without.count("HorizontalPodAutoscaler") == 1
    assert not {"ScaledObject", "ServiceMonitor", "PrometheusRule"} & set(without)


def test_scaling_reads_the_queue_of_the_worker() -> None:
    """KEDA looks at the Redis list that Celery fills, with the worker's own password."""
    scaled = find(written("production"), "ScaledObject", "worker-analysis")["spec"]
    [trigger] = scaled["triggers"]
    assert trigger["type"] == "redis"
    assert trigger["metadata"]["address"] == "redis.databases.svc:6379"
    assert trigger["metadata"]["listName"] == "leased.analysis"
    worker = environment(written("production"), "worker-analysis")
    assert trigger["metadata"]["passwordFromEnv"] in worker
    assert "replicas" not in find(written("production"), "Deployment", "worker-analysis")["spec"]


@pytest.mark.parametrize("authority", ["", "redis-ca"])
def test_a_broker_with_tls_shows_a_certificate(authority: str) -> None:
    """What Celery makes of the URL refuses a server that nobody vouches for."""
    broker = {"host": "mq.example", "tls": True, "caSecretName": authority}
    found = objects(render({**_FITTING, "broker": broker}))
    asked = Connection(environment(found, "sweeper")["SENTINODE_BROKER_URL"]).ssl
    assert asked["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    [container] = find(found, "Deployment", "sweeper")["spec"]["template"]["spec"]["containers"]
    folders = [mount["mountPath"] for mount in container["volumeMounts"]]
    named = asked.get("ssl_ca_certs", "").rpartition("/")[0]
    assert (named in folders) == bool(authority)


@pytest.mark.parametrize(
    ("values", "job", "init"),
    [
        ({}, True, "wait"),
        ({"database": {"host": "db", "migration": "none"}}, False, "wait"),
        ({"database": {}, "postgresql": {"enabled": True}}, False, "upgrade"),
    ],
)
def test_somebody_upgrades_the_tables(values: dict[str, Any], job: bool, init: str) -> None:
    """A hook where the database is there before; an init container of the one sweeper where not."""
    found = objects(render({**_FITTING, **values}))
    hooks = [item["metadata"]["annotations"] for item in found if item["kind"] == "Job"]
    assert [hook["helm.sh/hook"] for hook in hooks] == ["pre-install,pre-upgrade"] * job
    sweeper = find(found, "Deployment", "sweeper")["spec"]
    [container] = sweeper["template"]["spec"]["initContainers"]
    assert container["args"] == ["db", init]
    assert sweeper["strategy"]["type"] == ("Recreate" if init == "upgrade" else "RollingUpdate")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_notes_say_what_to_type(scenario: str) -> None:
    """AE title, address and port, as they are typed into the modality."""
    values = values_of(scenario)
    notes = render(values)["NOTES.txt"]
    dicom = values.get("dicom", {})
    assert f"AE title   {values.get('settings', {}).get('ae_title', 'SENTINODE')}" in notes
    port = dicom.get("nodePort") or dicom.get("port", 11112)
    if dicom.get("tls", {}).get("plain", True):
        assert f"Port       {port}" in notes
    if "tls" in dicom:
        assert "TLS port   2762, with a client certificate" in notes
    # Without a registry anybody's images of these names would do.
    assert ("No image.registry" in notes) == ("registry" not in values.get("image", {}))


_SECRETS = "/etc/sentinode/secrets"
_GENERATED = {"secretName": "trial-sentinode-generated", "key": "web-password"}


@pytest.mark.parametrize(
    ("web", "admin", "accounts"),
    [
        ({}, _GENERATED, None),
        ({"adminPassword": {"secretName": "a"}}, {"secretName": "a", "key": "web-password"}, None),
        ({"accounts": {"secretName": "b", "key": "c"}}, None, {"secretName": "b", "key": "c"}),
        (
            {"accounts": {"secretName": "b"}, "adminPassword": {"secretName": "a", "key": "d"}},
            {"secretName": "a", "key": "d"},
            {"secretName": "b", "key": "accounts"},
        ),
    ],
)
def test_who_may_log_in(
    web: dict[str, Any], admin: dict[str, str] | None, accounts: dict[str, str] | None
) -> None:
    """Passwords and accounts are files of the web pods alone; the notes say where they are from."""
    texts = render({**_FITTING, "web": web})
    found = objects(texts)
    seen = environment(found, "web")
    for name, file, secret in (("admin", "password", admin), ("accounts", "accounts", accounts)):
        setting = seen.get(f"SENTINODE_WEB_{'_'.join({name: 0, file: 0}).upper()}_FILE")
        assert setting == (f"{_SECRETS}/web-{name}/{file}" if secret else None)
        mounted = _mounted(found, f"secret-web-{name}")
        assert set(mounted) == ({"trial-sentinode-web"} if secret else set())
        for volume in mounted.values():
            assert secret
            assert volume["secretName"] == secret["secretName"]
            assert volume["items"] == [{"key": secret["key"], "path": file}]
            assert secret["secretName"] in texts["NOTES.txt"]
    made = [item for item in found if item["kind"] == "Secret"]
    assert bool(made) == (admin == _GENERATED)
    assert ("Log in as admin" in texts["NOTES.txt"]) == bool(admin)


def _mounted(found: list[Any], volume: str) -> dict[str, Any]:
    """The Secret behind a volume of this name, by the pods that have it."""
    return {
        name: each["secret"]
        for name, pod in pods(found)
        for each in pod["volumes"]
        if each["name"] == volume
    }


def test_the_test_has_an_account_to_ask_with() -> None:
    """That of `admin` or one of its own; without any there is no test, and the notes say so."""
    helmtest = {"name": "helmtest", "secretName": "s"}
    for values, name, secret in (
        ({}, "admin", _GENERATED),
        ({"test": {"account": helmtest}}, "helmtest", {"secretName": "s", "key": "password"}),
    ):
        found = objects(render({**_FITTING, **values}))
        [pod] = [item for item in found if item["kind"] == "Pod"]
        [container] = pod["spec"]["containers"]
        variables = {each["name"]: each for each in container["env"]}
        assert variables["TEST_ACCOUNT"]["value"] == name
        shown = variables["TEST_PASSWORD"]["valueFrom"]["secretKeyRef"]
        assert shown == {"name": secret["secretName"], "key": secret["key"]}
    texts = render({**_FITTING, "web": {"accounts": {"secretName": "b"}}})
    assert [item for item in objects(texts) if item["kind"] == "Pod"] == []
    assert "Set test.account" in texts["NOTES.txt"]
