"""The Helm chart: what it writes is what Kubernetes takes, hardened, and without secrets."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helm_python
import pytest

from node.destinations import load_destinations
from node.settings import Settings
from scripts import chart_schema, write_chart
from tests.conformance.chart import (
    CHART,
    CUSTOM_KINDS,
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

# Settings that stand in `settings` as they are; _DECIDED has the others.
_FREE = chart_schema.chart_schema()["properties"]["settings"]["properties"]

everywhere = pytest.mark.parametrize("scenario", SCENARIOS)


@everywhere
def test_lint_is_strict(scenario: str) -> None:
    """Helm's own lint has nothing to say, neither error nor warning."""
    found = helm_python.lint(str(CHART), values_of(scenario), strict=True, kube_version="v1.30.0")
    assert (found["messages"], found["errors"]) == ([], [])


@everywhere
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object(scenario: str, version: str) -> None:
    """Each version from 1.28 to 1.37 knows every kind and every field, in its strict schema."""
    own = [item for item in written(scenario) if item["kind"] not in CUSTOM_KINDS]
    assert own
    assert [error for item in own for error in kubernetes_errors(item, version)] == []


@everywhere
def test_the_newest_gets_what_the_oldest_gets(scenario: str) -> None:
    """Nothing that is written depends on the version within the range, so one rendering will do."""
    newest = objects(render(values_of(scenario), VERSIONS[-1]))
    same = [item for item in newest if item["kind"] != "Secret"]
    assert same == [item for item in written(scenario) if item["kind"] != "Secret"]


def test_wrong_objects_are_seen() -> None:
    """The check above finds a wrong type, an unknown field and an unknown kind."""
    service = find(written("minimal"), "Service", "web")
    assert kubernetes_errors(service, "1.30") == []
    assert kubernetes_errors(service | {"spec": {"ports": "eighty"}}, "1.30")
    assert kubernetes_errors(service | {"spek": {}}, "1.30")
    assert kubernetes_errors(service | {"apiVersion": "v2"}, "1.30")


@everywhere
def test_pods_are_hardened(scenario: str) -> None:
    """No root, no token, no capability, no writable root; requests and limits everywhere."""
    for name, pod in pods(written(scenario)):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True, name
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
            assert not container["image"].endswith((":", ":latest")), name
            mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(mounts) == len(set(mounts))
            assert {mount["name"] for mount in container["volumeMounts"]} <= {
                volume["name"] for volume in pod["volumes"]
            }


@everywhere
def test_serving_pods_are_probed(scenario: str) -> None:
    """Whatever stays running says when it has started and when it hangs."""
    for item in written(scenario):
        if item["kind"] in ("Deployment", "StatefulSet"):
            for container in item["spec"]["template"]["spec"]["containers"]:
                assert {"livenessProbe"} < container.keys(), item["metadata"]["name"]
                assert {"startupProbe", "readinessProbe"} & container.keys()
                # A machine at its limit is no reason to begin again.
                probe = container["livenessProbe"]
                assert probe["timeoutSeconds"] >= 5, item["metadata"]["name"]
                assert probe["periodSeconds"] * probe["failureThreshold"] >= 60


@everywhere
def test_selectors_find_their_pods(scenario: str) -> None:
    """Services, budgets and network policies select by labels that exactly one component has."""
    found = written(scenario)
    labels = {}
    for item in found:
        template = item if item["kind"] == "Pod" else item.get("spec", {}).get("template")
        if template:
            labels[item["metadata"]["name"]] = template["metadata"]["labels"]
    for item in found:
        spec = item.get("spec", {})
        selector = {
            "Service": spec.get("selector"),
            "PodDisruptionBudget": spec.get("selector", {}).get("matchLabels"),
            "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels"),
        }.get(item["kind"])
        if selector is None or item["metadata"]["name"].endswith("-default-deny"):
            continue
        chosen = [name for name, found in labels.items() if selector.items() <= found.items()]
        assert len(chosen) == 1, (item["kind"], item["metadata"]["name"], chosen)


@everywhere
def test_no_secret_in_plain_text(scenario: str) -> None:
    """Passwords come by reference; those made here are in one Secret and nowhere else."""
    texts = render(values_of(scenario))
    found = objects(texts)
    made = [item for item in found if item["kind"] == "Secret"]
    assert all("stringData" not in item for item in made)
    secrets = {base64.b64decode(text).decode() for item in made for text in item["data"].values()}
    secrets = {text for text in secrets if not text.startswith("{")}
    elsewhere = json.dumps([item for item in found if item["kind"] != "Secret"])
    assert [text for text in secrets if text in elsewhere] == []
    assert [text for text in secrets if text in texts["NOTES.txt"]] == []
    # A password before the @ of a URL is a reference to a variable.
    assert set(re.findall(r"://[^/@\"]*:([^/@\"]+)@", elsewhere)) <= {"$(BROKER_PASSWORD)"}
    for _, pod in pods(found):
        for container in pod["containers"]:
            for entry in container.get("env", []):
                if re.search("(PASSWORD|TOKEN|SECRET|ACCESS_KEY)$", entry["name"]):
                    assert "secretKeyRef" in entry["valueFrom"], entry


@everywhere
def test_every_port_says_tcp(scenario: str) -> None:
    """Server-side apply on old clusters wants the protocol of each Service port."""
    for item in written(scenario):
        if item["kind"] == "Service":
            assert {port["protocol"] for port in item["spec"]["ports"]} == {"TCP"}


@everywhere
def test_everything_is_denied_but_what_is_needed(scenario: str) -> None:
    """A policy denies all, and each pod has one of its own that opens what it uses."""
    found = written(scenario)
    deny = find_deny(found)
    assert deny["spec"].keys() == {"podSelector", "policyTypes"}
    components = {
        item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        for item in found
        if item["kind"] in ("Deployment", "StatefulSet", "Job")
    }
    policies = {
        item["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
        for item in found
        if item["kind"] == "NetworkPolicy"
    }
    assert components <= policies


@everywhere
def test_openings_match_on_both_sides(scenario: str) -> None:
    """Whatever a component may call lets it in, on the same port."""
    policies = {
        item["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: item["spec"]
        for item in written(scenario)
        if item["kind"] == "NetworkPolicy" and not item["metadata"]["name"].endswith("default-deny")
    }
    seen = 0
    for caller, spec in policies.items():
        for port, called in _openings(spec.get("egress", []), "to"):
            seen += 1
            assert (port, caller) in _openings(policies[called]["ingress"], "from"), (
                caller,
                called,
            )
    assert seen or scenario == "external"


def _openings(rules: list[Any], side: str) -> list[tuple[int, str]]:
    """Port and component of every opening between the release's own pods."""
    return [
        (port["port"], component)
        for rule in rules
        for port in rule["ports"]
        for peer in rule.get(side, [])
        for expression in peer.get("podSelector", {}).get("matchExpressions", [])
        for component in expression["values"]
    ]


def test_files_are_a_map_without_any_too() -> None:
    """Where no value asks for a file."""
    assert find(written("gpu"), "ConfigMap", "files")["data"] == {}


def find_deny(found: list[Any]) -> Any:
    """The policy that denies everything."""
    [deny] = [
        item
        for item in found
        if item["kind"] == "NetworkPolicy" and item["metadata"]["name"].endswith("default-deny")
    ]
    return deny


def test_settings_reach_the_processes() -> None:
    """What stands in `settings` is in the environment, and is read there as it was written."""
    values = {name: _example(field) for name, field in _FREE.items()}
    values["cad_presentation_scores"] = ["mass=0.5", "arterial_calcification=1"]
    values["archive_url"] = "https://pacs.example"
    seen = environment(objects(render(_with({"settings": values}))), "receiver")
    read = {name: seen[f"SENTINODE_{name.upper()}"] for name in _FREE}
    assert Settings(**read) == Settings(**values)
    assert set(_DECIDED) <= set(Settings.model_fields) - set(_FREE)


@everywhere
@pytest.mark.parametrize("component", ["worker-analysis", "worker-delivery"])
def test_a_worker_finds_what_its_destinations_name(
    scenario: str, component: str, tmp_path: Path
) -> None:
    """Every worker reads passwords and tokens when it starts, and one that lacks any does not."""
    found = written(scenario)
    names = {item["metadata"]["name"].removeprefix("trial-sentinode-") for item in found}
    if component in names:
        settings = _pod(find(found, "Deployment", component), found, tmp_path)
        load_destinations(settings.destinations)


def test_a_worker_shows_the_certificate_of_the_listener(tmp_path: Path) -> None:
    """To a destination by DIMSE with TLS; where there is no such, it has none to show."""
    pacs = {"name": "a", "protocol": "c-store", "ae_title": "A", "host": "a", "port": 2762}
    for tls in (True, False):
        destinations = [pacs | {"tls": tls}]
        found = objects(render(_with({"dicom": {"tls": _TLS}, "destinations": destinations})))
        for component in ("worker-analysis", "worker-delivery"):
            folder = tmp_path / f"{component}-{tls}"
            settings = _pod(find(found, "Deployment", component), found, folder)
            assert settings.dicom_tls_certificate
            assert settings.dicom_tls_certificate.is_file() == tls
            assert settings.dicom_tls_key
            assert settings.dicom_tls_key.is_file() == tls


def _pod(deployment: Any, found: list[Any], root: Path) -> Settings:
    """The settings of a pod whose files lie in a folder: those of the chart, one secret for all."""
    (root / "config").mkdir(parents=True)
    for name, text in find(found, "ConfigMap", "files")["data"].items():
        (root / "config" / name).write_text(text.replace("/etc/sentinode", str(root)))
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    for mount in container["volumeMounts"]:
        folder = Path(mount["mountPath"].replace("/etc/sentinode", str(root)))
        if folder.is_relative_to(root / "secrets"):
            folder.mkdir(parents=True)
            for name in ("password", "token", "ca.crt", "tls.crt", "tls.key"):
                (folder / name).write_text("secret")
    component = deployment["metadata"]["name"].removeprefix("trial-sentinode-")
    seen = environment(found, component)
    known = {name: str(seen.get(f"SENTINODE_{name.upper()}")) for name in Settings.model_fields}
    files: dict[str, Any] = {
        name: text.replace("/etc/sentinode", str(root))
        for name, text in known.items()
        if "/etc/sentinode" in text
    }
    return Settings(**files)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_can_be_set(name: str) -> None:
    """In `settings`, by another value of the chart, or it is of the embedded stack and says so."""
    if name in _FREE:
        return
    if name in _DECIDED:
        values, text = _DECIDED[name]
        seen = environment(objects(render(_with(values))), "receiver")
        assert seen[f"SENTINODE_{name.upper()}"] == text
    else:
        assert "embedded stack only" in chart_schema.renamed()[f"settings.{name}"]
        assert str(Settings.model_fields[name].description).startswith("Embedded stack")


# Settings that other values of the chart decide: those values, and what the process then reads.
_TLS = {"enabled": True, "secretName": "tls", "clientCASecretName": "ca"}
_SECRETS = "/etc/sentinode/secrets"
_FILES = "/etc/sentinode/config"
_DECIDED: dict[str, tuple[dict[str, Any], str]] = {
    "dicom_host": ({"dicom": {"listenAddress": "::"}}, "::"),
    "dicom_port": ({"dicom": {"listenPort": 4000}}, "4000"),
    "dicom_plain": ({"dicom": {"tls": _TLS | {"plain": False}}}, "false"),
    "dicom_tls_port": ({"dicom": {"tls": _TLS | {"listenPort": 4001}}}, "4001"),
    "dicom_tls_certificate": ({"dicom": {"tls": _TLS}}, f"{_SECRETS}/dicom-tls/tls.crt"),
    "dicom_tls_key": ({"dicom": {"tls": _TLS}}, f"{_SECRETS}/dicom-tls/tls.key"),
    "dicom_tls_client_ca": ({"dicom": {"tls": _TLS}}, f"{_SECRETS}/dicom-client-ca/ca.crt"),
    "http_host": ({"web": {"listenAddress": "::"}}, "::"),
    "http_port": ({"web": {"listenPort": 9000}}, "9000"),
    "web_accounts_file": (
        {"web": {"accounts": {"secretName": "a"}}},
        f"{_SECRETS}/web-accounts/accounts",
    ),
    "web_admin_password_file": ({}, f"{_SECRETS}/web-admin/password"),
    "state_dir": ({}, "/var/lib/sentinode"),
    "beat_file": ({}, "/tmp/sentinode.beat"),
    "database_url": ({"database": {"url": {"secretName": "urls", "key": "db"}}}, "urls/db"),
    "broker_url": ({"broker": {"url": {"secretName": "urls", "key": "mq"}}}, "urls/mq"),
    "triton_url": ({"triton": {"enabled": False, "url": "gpu:9"}}, "gpu:9"),
    "routes": ({"routes": [{"name": "a", "match": {}, "skip": "b"}]}, f"{_FILES}/routes.yaml"),
    "destinations": (
        {"destinations": [{"name": "a", "protocol": "stow", "url": "http://a"}]},
        f"{_FILES}/destinations.yaml",
    ),
    "peers": (
        {"peers": [{"ae_title": "A", "host": "a", "port": 104}]},
        f"{_FILES}/peers.yaml",
    ),
    "priors": (
        {
            "peers": [{"ae_title": "A", "host": "a", "port": 104}],
            "priors": [{"name": "a", "source": "A", "modalities": ["MG"], "within_days": 1}],
        },
        f"{_FILES}/priors.yaml",
    ),
}


def _with(values: dict[str, Any]) -> dict[str, Any]:
    parts = {"database": {"host": "db"}, "broker": {"host": "mq"}}
    return {**parts, **values}


def _example(schema: dict[str, Any]) -> Any:
    """Some valid value of a setting, no number small enough to look like text by chance."""
    if "enum" in schema:
        return schema["enum"][-1]
    bounded = schema.get("maximum", 1 << 40)
    examples = {"boolean": True, "integer": min(bounded, 4294967295), "number": 12.5}
    examples |= {"array": ["10.0.0.0/8", "10.1.0.0/16"], "string": "abc"}
    return examples[schema["type"]]


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (CHART / "values.yaml", write_chart.values_file),
        (CHART / "values.schema.json", write_chart.schema_file),
        (write_chart.PAGE, write_chart.page),
    ],
    ids=["values", "schema", "page"],
)
def test_generated_files_are_fresh(path: Any, written: Callable[[], str]) -> None:
    """values.yaml, its schema and the page of values say what their sources say."""
    assert path.read_text(encoding="utf-8") == written(), "run `make configuration`"
