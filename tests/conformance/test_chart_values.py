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
import yaml
from helm_python import HelmRenderError, HelmValuesError
from kombu import Connection
from sqlalchemy import make_url

from node.settings import Settings
from scripts import chart_schema
from tests.conformance.chart import (
    CHART,
    CUSTOM_KINDS,
    OPERATORS,
    SCENARIOS,
    VERSIONS,
    environment,
    find,
    kubernetes_errors,
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
_PACS = {"name": "a", "protocol": "stow", "url": "https://a", "ca_file": _CA_FILE}
_TLS = {"enabled": True, "secretName": "tls"}
_OWN = {"name": "pacs", "secretName": "a"}
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


def _defaults(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Path and default of every value that has one; what is below a default is the user's."""
    for name, child in schema.get("properties", {}).items():
        if "default" in child:
            yield (*path, name), child["default"]
        else:
            yield from _defaults(child, (*path, name))


def test_a_key_without_a_value_is_refused_where_it_matters() -> None:
    """A line whose children somebody commented out takes a default away, and says where."""
    full = [path for path, default in _defaults(_SCHEMA) if default not in ("", [], {})]
    assert ("dicom", "port") in full
    with pytest.raises(HelmValuesError) as refusal:
        render(_tree(full, None))
    lines = [line for line in str(refusal.value).splitlines() if "missing propert" in line]
    for *parents, name in full:
        [line] = [line for line in lines if f"at '/{'/'.join(parents)}':" in line]
        assert f"'{name}'" in line


def test_a_key_without_a_value_is_the_empty_one_elsewhere() -> None:
    """`settings:` and `nodeSelector:` with nothing after them are no settings and no selector."""
    empty = [path for path, default in _defaults(_SCHEMA) if default in ("", [], {})]
    assert {("settings",), ("receiver", "affinity"), ("networkPolicy", "archivePorts")} <= set(
        empty
    )
    for scenario in ({}, {"orthanc": {"enabled": True}}, values_of("external")):
        base = {**_FITTING, **scenario}
        given = _tree([path for path in empty if not _given(base, path)], None)
        assert _without_secret(_merged(given, base)) == _without_secret(base)


def _given(values: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


def _merged(one: Any, other: Any) -> Any:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return other
    both = {name: _merged(one[name], other[name]) for name in one.keys() & other.keys()}
    return {**one, **other, **both}


def _without_secret(values: dict[str, Any]) -> list[Any]:
    return [item for item in objects(render(values)) if item["kind"] != "Secret"]


@pytest.mark.parametrize("path", list(_RENAMED))
def test_renamed_key_says_what_to_write(path: str) -> None:
    """A key that has moved is refused with the new one."""
    place = "/" + path.replace(".", "/")
    assert f"at '{place}': value must be '{_RENAMED[path]}'" in _refusal_of_renamed()


@pytest.mark.parametrize("enabled", [True, False])
def test_a_chart_of_the_site_can_hold_this_one(tmp_path: Path, enabled: bool) -> None:
    """As a dependency under the usual condition, beside values for all charts."""
    dependency = {"name": "sentinode", "version": "*", "condition": "sentinode.enabled"}
    about = {"apiVersion": "v2", "name": "clinic", "version": "1.0.0"}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump({**about, "dependencies": [dependency]}))
    shutil.copytree(CHART, tmp_path / "charts" / "sentinode")
    values = {"global": {"site": "a"}, "sentinode": {**_FITTING, "enabled": enabled}}
    with helm_python.Chart.load(str(tmp_path)) as chart:
        written = chart.render(values, name="trial", namespace="clinic")
    assert any("/receiver/deployment.yaml" in path for path in written) == enabled


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
            {"dicom": {"tls": {"enabled": True, "secretName": "a", "listenPort": 11112}}},
            "dicom.listenPort and dicom.tls.listenPort are the same",
        ),
        (
            {"dicom": {"nodePort": 31112} | {"tls": _TLS | {"nodePort": 31112}}},
            "dicom.nodePort and dicom.tls.nodePort are the same",
        ),
        ({"dicom": {"ipFamilyPolicy": "PreferDualStack"}}, "Set dicom.listenAddress to ::"),
        ({"dicom": {"ipFamilies": ["IPv6"]}}, "Set dicom.listenAddress to ::"),
        (
            {"receiver": {"autoscaling": {"enabled": True, "minReplicas": 5}}},
            "receiver.autoscaling.minReplicas is more than maxReplicas",
        ),
        (
            {"dicom": {"exposure": "NodePort", "loadBalancer": {"ip": "10.0.0.1"}}},
            "needs dicom.exposure LoadBalancer",
        ),
        ({"triton": {"enabled": False}}, "needs triton.url"),
        ({"triton": {"enabled": False, "url": "a:8001,b"}}, "needs triton.url"),
        ({"triton": {"url": "a:1"}}, "Set triton.enabled to false"),
        ({"triton": {"modelRepository": {"source": "pvc"}}}, "modelRepository.claimName"),
        ({"triton": {"modelRepository": {"source": "s3"}}}, "modelRepository.uri"),
        (
            {"triton": {"modelRepository": {"source": "s3", "uri": "s3://https://a:9000/models"}}},
            "Set networkPolicy.bucketPort to it",
        ),
        (
            {"settings": {"min_free_bytes": 21474836480}},
            "monitoring.prometheusRule.freeDiskBytes is not above settings.min_free_bytes",
        ),
        (
            {"monitoring": {"prometheusRule": {"freeDiskBytes": Settings().min_free_bytes}}},
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
        (
            {"destinations": [_PACS], "secretMounts": [_OWN | {"components": ["worker-delivery"]}]},
            "is read by the pods of worker-analysis too",
        ),
        (
            {"destinations": [_PACS | {"token_file": "pacs/token"}]},
            "pacs/token: nothing lies beside the files that the chart writes",
        ),
        ({"web": {"service": {"type": "NodePort"}}}, "Add an ipBlock"),
        (
            {"web": {"podLabels": {"app.kubernetes.io/component": "a"}}},
            "web.podLabels: app.kubernetes.io/component is a label of the chart's own",
        ),
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
        ({"image": {"registry": "https://registry.example"}}, "at '/image/registry'"),
        ({"image": {"node": {"repository": "sentinode/node:1.2"}}}, "at '/image/node/repository'"),
        ({"fullnameOverride": "Sentinode"}, "at '/fullnameOverride'"),
        ({"fullnameOverride": "a" * 41}, "at '/fullnameOverride'"),
        ({"receiver": {"nodeSelector": {"gpu": True}}}, "at '/receiver/nodeSelector/gpu'"),
        (
            {"web": {"podDisruptionBudget": {"maxUnavailable": "half"}}},
            "at '/web/podDisruptionBudget/maxUnavailable'",
        ),
        ({"test": {"views": "LCC, RCC"}}, "at '/test/views'"),
        ({"networkPolicy": {"archiveCIDRs": ["10.0.0.7"]}}, "at '/networkPolicy/archiveCIDRs/0'"),
    ],
)
def test_wrong_value_is_refused(values: dict[str, Any], text: str) -> None:
    """Types, ranges and choices are looked at before anything is installed."""
    with pytest.raises(HelmValuesError) as refusal:
        render({**_FITTING, **values})
    assert text in str(refusal.value)


@pytest.mark.parametrize("text", ["1234", "null"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_names_may_look_like_something_else(scenario: str, text: str) -> None:
    """A Secret may be called 1234 and a claim null; YAML must not read a number or nothing."""
    values = _named(values_of(scenario), text)
    values["image"] = {**values.get("image", {}), "pullSecrets": [text]}
    values["serviceAccount"] = {"create": False, "name": text}
    found = [item for item in objects(render(values)) if item["kind"] not in CUSTOM_KINDS]
    assert [error for item in found for error in kubernetes_errors(item, VERSIONS[-1])] == []
    for _, pod in pods(found):
        assert pod["imagePullSecrets"] == [{"name": text}]


def _named(node: Any, text: str) -> Any:
    """Values with this name for everything that the cluster already has."""
    if isinstance(node, list):
        return [_named(child, text) for child in node]
    if not isinstance(node, dict):
        return node
    names = ("secretname", "claim", "claimname", "classname", "class", "key", "subpath")
    return {
        key: text if isinstance(child, str) and key.lower().endswith(names) else _named(child, text)
        for key, child in node.items()
    }


@pytest.mark.parametrize("part", ["state", "postgresql", "orthanc"])
@pytest.mark.parametrize(("given", "asked"), [("", None), ("-", ""), ("fast", "fast")])
def test_a_claim_asks_for_a_class(part: str, given: str, asked: str | None) -> None:
    """The cluster's own, one by name, or none: volumes made by hand have none."""
    persistence = {"enabled": True, "persistence": {"storageClassName": given}}
    values = {
        "state": {"storageClassName": given},
        "broker": {"host": "mq"},
        "postgresql": persistence,
        "orthanc": persistence,
    }
    found = objects(render(values))
    if part == "state":
        spec = find(found, "PersistentVolumeClaim", "state")["spec"]
    else:
        [claim] = find(found, "StatefulSet", part)["spec"]["volumeClaimTemplates"]
        spec = claim["spec"]
    assert spec.get("storageClassName") == asked


def test_modalities_of_both_families() -> None:
    """The Service has what is asked for, and the receiver listens to both."""
    dual = {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"]}
    found = objects(render({**_FITTING, "dicom": {**dual, "listenAddress": "::"}}))
    assert find(found, "Service", "receiver")["spec"].items() >= dual.items()
    assert environment(found, "receiver")["SENTINODE_DICOM_HOST"] == "::"
    plain = find(written("production"), "Service", "receiver")["spec"]
    assert not plain.keys() & dual.keys()


def test_addresses_of_ipv6_are_hosts_too() -> None:
    """In a URL they stand in brackets, which nobody need write."""
    for host in ("fd00::7", "[fd00::7]"):
        workers = {"analysis": {"autoscaling": {"enabled": True}}}
        elsewhere = {"database": {"host": host}, "broker": {"host": host}, "workers": workers}
        found = objects(render(elsewhere))
        seen = environment(found, "sweeper")
        assert make_url(seen["SENTINODE_DATABASE_URL"]).host == "fd00::7"
        assert Connection(seen["SENTINODE_BROKER_URL"]).hostname == "fd00::7"
        scaled = find(found, "ScaledObject", "worker-analysis")["spec"]
        assert scaled["triggers"][0]["metadata"]["address"] == "[fd00::7]:6379"


@pytest.mark.parametrize(
    ("registry", "repository", "image"),
    [
        ("", "sentinode/node", "sentinode/node"),
        ("registry.example:5000", "sentinode/node", "registry.example:5000/sentinode/node"),
        ("registry.example/pacs/", "sentinode/node", "registry.example/pacs/sentinode/node"),
        ("", "registry.example:5000/pacs/node", "registry.example:5000/pacs/node"),
    ],
)
def test_images_of_a_registry(registry: str, repository: str, image: str) -> None:
    """Before every name, with a port or a folder; or within one name."""
    given = {"registry": registry, "node": {"repository": repository}}
    found = objects(render({**_FITTING, "image": given}))
    spec = find(found, "Deployment", "receiver")["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"].rpartition(":")[0] == image


def test_one_port_with_tls_alone() -> None:
    """Where nothing listens without TLS, TLS may have the usual port."""
    tls = {"enabled": True, "secretName": "a", "plain": False, "port": 11112, "listenPort": 11112}
    found = objects(render({**_FITTING, "dicom": {"tls": tls}}))
    [port] = find(found, "Service", "receiver")["spec"]["ports"]
    assert (port["name"], port["port"]) == ("dicom-tls", 11112)


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


def test_scaling_beside_a_url_has_the_password_too() -> None:
    """KEDA reads no URL: host and password of the values, and of the worker that it scales."""
    secret = {"secretName": "mq"}
    broker = {"host": "mq.example", "password": secret, "url": {"secretName": "urls"}}
    scaled = {"analysis": {"autoscaling": {"enabled": True}}}
    found = objects(render({**_FITTING, "broker": broker, "workers": scaled}))
    [trigger] = find(found, "ScaledObject", "worker-analysis")["spec"]["triggers"]
    worker = environment(found, "worker-analysis")
    assert worker[trigger["metadata"]["passwordFromEnv"]] == "mq/password"
    assert worker["SENTINODE_BROKER_URL"] == "urls/url"


def test_scaling_reads_both_queues_of_a_worker_that_serves_both() -> None:
    """Without delivery workers what waits for an archive is theirs as well."""
    workers = {"analysis": {"autoscaling": {"enabled": True}}, "delivery": {"enabled": False}}
    found = objects(render({**_FITTING, "workers": workers}))
    triggers = find(found, "ScaledObject", "worker-analysis")["spec"]["triggers"]
    lists = [trigger["metadata"]["listName"] for trigger in triggers]
    assert lists == ["leased.analysis", "leased.delivery"]


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


def test_notes_tell_of_a_port_that_takes_anybody() -> None:
    """Client certificates guard the port with TLS alone."""
    for plain in (True, False):
        tls = _TLS | {"clientCASecretName": "ca", "plain": plain}
        notes = render({**_FITTING, "dicom": {"tls": tls}})["NOTES.txt"]
        assert ("Any device may connect on the port without TLS" in notes) == plain


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
