"""Releases of the chart over time and beside each other: upgrades, hooks, names, rules, a shell."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helm_python import HelmRenderError

from node.web import metrics
from tests.conformance.chart import (
    CUSTOM_KINDS,
    SCENARIOS,
    VERSIONS,
    Manifest,
    environment,
    find,
    kubernetes_errors,
    objects,
    pods,
    render,
    values_of,
    written,
)

_FITTING = {"database": {"host": "db"}, "broker": {"host": "mq"}}
# What of an object the API server lets nobody change.
_FIXED = {
    "Service": ("clusterIP",),
    "Deployment": ("selector",),
    "StatefulSet": ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"),
    "PersistentVolumeClaim": ("accessModes", "storageClassName", "selector"),
}
_PARTS = ("receiver", "web", "sweeper", "triton", "redis", "postgresql", "orthanc", "test")
_AFFINITY: dict[str, Any] = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
        }
    },
    "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []},
}
_HOST_PATH = {"kind": "hostPath", "hostPath": "/srv", "node": "a"}
_GROWN: dict[str, Any] = {
    name: {"replicaCount": 3, "autoscaling": {"enabled": True}}
    for name in ("receiver", "web", "triton")
}

everywhere = pytest.mark.parametrize("scenario", SCENARIOS)


def _identity(item: Manifest) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


@everywhere
def test_two_releases_share_nothing(scenario: str) -> None:
    """In one namespace no object is written twice, and none selects or binds the other's pods."""
    releases = {name: objects(render(values_of(scenario), name=name)) for name in ("one", "two")}
    one, two = ({_identity(item) for item in found} for found in releases.values())
    assert not one & two
    for release, found in releases.items():
        for item in found:
            for labels in _selected(item):
                assert labels["app.kubernetes.io/instance"] == release, _identity(item)


def _selected(node: Any) -> list[dict[str, str]]:
    """Every set of labels that an object chooses pods of the chart by."""
    if isinstance(node, list):
        return [labels for child in node for labels in _selected(child)]
    if not isinstance(node, dict):
        return []
    found = [
        node[name]
        for name in ("matchLabels", "selector")
        if any(key.startswith("app.kubernetes.io/") for key in node.get(name) or ())
    ]
    return found + [labels for child in node.values() for labels in _selected(child)]


@everywhere
def test_what_is_cluster_wide_carries_the_namespace(scenario: str) -> None:
    """Only priority classes are, and two releases of one name in two namespaces have their own."""
    here, there = (
        {_identity(item) for item in objects(render(values_of(scenario), namespace=namespace))}
        for namespace in ("clinic", "research")
    )
    kinds = {kind for kind, _ in here}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Namespace", "PersistentVolume"}
    wide = {(kind, name) for kind, name in here if kind == "PriorityClass"}
    assert not wide & there
    assert all(name.endswith("-clinic") for _, name in wide)


@everywhere
def test_an_upgrade_changes_nothing_that_is_fixed(scenario: str) -> None:
    """More pods, and pods that an autoscaler counts, need no object to be deleted first."""
    values = values_of(scenario)
    if values.get("dicom", {}).get("exposure") == "HostPort":
        grown = {"triton": {**values["triton"], "replicaCount": 2}}
    else:
        grown = {name: {**values.get(name, {}), **more} for name, more in _GROWN.items()}
    before = {_identity(item): item["spec"] for item in written(scenario) if "spec" in item}
    compared = 0
    for item in objects(render({**values, **grown})):
        for field in _FIXED.get(item["kind"], ()):
            compared += 1
            assert item["spec"].get(field) == before[_identity(item)].get(field), _identity(item)
    assert compared


def test_several_tritons_are_seen_from_the_first_on() -> None:
    """The Service never has an address of its own, which it could not lose by an upgrade."""
    for scenario in ("minimal", "gpu"):
        assert find(written(scenario), "Service", "triton")["spec"]["clusterIP"] == "None"


def test_a_drain_is_never_blocked() -> None:
    """One pod may always go, and one that is not ready always may."""
    budgets = _budgets(written("production"))
    assert len(budgets) == 6
    for item in budgets.values():
        assert item["spec"]["maxUnavailable"] == 1
        assert "minAvailable" not in item["spec"]
        assert item["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    older = objects(render(values_of("production"), "1.20"))
    for item in older:
        assert "unhealthyPodEvictionPolicy" not in item.get("spec", {})


@pytest.mark.parametrize("state", [{"accessMode": "ReadWriteOnce"}, _HOST_PATH])
def test_pods_that_stay_together_may_go_together(state: dict[str, Any]) -> None:
    """Of two on one node, the evicted one waits for the other to follow; a budget would hold it."""
    values = {**_FITTING, "state": state, "web": {"replicaCount": 2}}
    assert _budgets(objects(render(values))).keys() == {"trial-sentinode-triton"}


def _budgets(found: list[Manifest]) -> dict[str, Manifest]:
    return {
        item["metadata"]["name"]: item for item in found if item["kind"] == "PodDisruptionBudget"
    }


def test_nodes_that_are_closed_do_not_count_as_empty() -> None:
    """A control plane without our pods would else forbid a second one on every worker node."""
    template = find(written("production"), "Deployment", "worker-analysis")["spec"]["template"]
    by_node, by_zone = template["spec"]["topologySpreadConstraints"]
    assert by_node["whenUnsatisfiable"] == "DoNotSchedule"
    assert {by_node["nodeTaintsPolicy"], by_zone["nodeTaintsPolicy"]} == {"Honor"}
    labels = template["metadata"]["labels"]
    assert by_node["labelSelector"]["matchLabels"].items() <= labels.items()
    older = objects(render(values_of("production"), "1.25"))
    assert "nodeTaintsPolicy" not in str(older)


def test_a_model_that_fails_leaves_the_others() -> None:
    """The probes ask for a server that has finished loading, not for every model of it."""
    for scenario in ("minimal", "gpu"):
        spec = find(written(scenario), "Deployment", "triton")["spec"]["template"]["spec"]
        [container] = spec["containers"]
        assert {"--exit-on-error=false", "--strict-readiness=false"} <= set(container["args"])


def test_a_triton_that_loads_has_not_failed() -> None:
    """Who waits for the rollout gives it all the time that its startup probe gives."""
    spec = find(written("gpu"), "Deployment", "triton")["spec"]
    [container] = spec["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    assert spec["progressDeadlineSeconds"] > probe["periodSeconds"] * probe["failureThreshold"]


def test_the_migration_may_reach_the_database_before_anything_exists() -> None:
    """Its policy is a hook too, of lower weight; it goes where the sweeper's pods may go."""
    nodes = {"kubernetes.io/arch": "amd64"}
    tolerated = [{"key": "clinic", "operator": "Exists"}]
    sweeper = {"nodeSelector": nodes, "tolerations": tolerated, "affinity": _AFFINITY}
    found = objects(render({**_FITTING, "sweeper": sweeper}))
    job, policy = (find(found, kind, "migration") for kind in ("Job", "NetworkPolicy"))
    on_job, on_policy = (item["metadata"]["annotations"] for item in (job, policy))
    assert on_policy["helm.sh/hook"] == on_job["helm.sh/hook"]
    assert on_policy["helm.sh/hook-delete-policy"] == on_job["helm.sh/hook-delete-policy"]
    assert int(on_policy["helm.sh/hook-weight"]) < int(on_job.get("helm.sh/hook-weight", 0))
    pod = job["spec"]["template"]["spec"]
    assert (pod["nodeSelector"], pod["tolerations"]) == (nodes, tolerated)
    # Not beside pods: there are none yet.
    assert pod["affinity"] == {"nodeAffinity": _AFFINITY["nodeAffinity"]}


def test_the_test_goes_where_its_image_runs() -> None:
    """On the nodes of the workers, whose image it has."""
    nodes = {"kubernetes.io/arch": "amd64"}
    analysis = {"nodeSelector": nodes, "affinity": _AFFINITY}
    values = {**_FITTING, "workers": {"analysis": analysis}}
    [pod] = [spec for name, spec in pods(objects(render(values))) if name.endswith("-test")]
    assert pod["nodeSelector"] == nodes
    assert pod["affinity"] == {"nodeAffinity": _AFFINITY["nodeAffinity"]}


def test_what_runs_for_a_moment_has_the_marks_of_what_stays() -> None:
    """Labels that a cluster demands of every pod, and annotations that keep a mesh out of them."""
    marked = {"podLabels": {"team": "breast"}, "podAnnotations": {"mesh/inject": "false"}}
    found = objects(render({**_FITTING, "sweeper": marked, "workers": {"analysis": marked}}))
    [test] = [item for item in found if item["kind"] == "Pod"]
    for pod in (find(found, "Job", "migration")["spec"]["template"], test):
        assert pod["metadata"]["labels"]["team"] == "breast"
        assert pod["metadata"]["annotations"]["mesh/inject"] == "false"


@pytest.mark.parametrize(
    ("account", "name"),
    [
        ({}, "default"),
        ({"name": "clinic"}, "default"),
        ({"create": False, "name": "clinic"}, "clinic"),
        ({"create": False}, "default"),
    ],
)
def test_the_migration_has_an_account_that_exists(account: dict[str, Any], name: str) -> None:
    """Yours where you made one, with its rights; one that the chart makes comes after the hook."""
    found = objects(render({**_FITTING, "serviceAccount": account}))
    pod = find(found, "Job", "migration")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == name


@everywhere
def test_a_quota_can_be_met(scenario: str) -> None:
    """Where a namespace wants every container to have a limit of CPU, values can give it."""
    values = values_of(scenario)
    workers = values.setdefault("workers", {})
    parts = [values.setdefault(name, {}) for name in _PARTS]
    parts += [workers.setdefault(name, {}) for name in ("analysis", "delivery")]
    for part in parts:
        part["resources"] = {"limits": {"cpu": "2", "memory": "4Gi"}}
    for name, pod in pods(objects(render(values))):
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}, name


@everywhere
def test_rendering_again_changes_nothing(scenario: str) -> None:
    """But generated passwords, for which GitOps needs existing Secrets."""
    first, second = (
        [item for item in objects(render(values_of(scenario))) if item["kind"] != "Secret"]
        for _ in range(2)
    )
    assert first == second


@everywhere
@pytest.mark.parametrize("name", ["null", "x" * 53])
def test_release_names_fit(scenario: str, name: str) -> None:
    """Words of YAML are names like others, and what is made of long ones is short enough."""
    for item in objects(render(values_of(scenario), name=name)):
        own = item["metadata"]
        assert own["labels"]["app.kubernetes.io/instance"] == name
        # Pods of a StatefulSet carry its name and a hash of eleven characters as a label.
        longest = 52 if item["kind"] == "StatefulSet" else 63
        assert len(own["name"]) <= longest or item["kind"] == "PriorityClass", own["name"]
        if item["kind"] not in CUSTOM_KINDS:
            assert kubernetes_errors(item, VERSIONS[-1]) == []


@pytest.mark.parametrize("name", ["1st-floor", "clinic.example"])
def test_release_names_that_services_cannot_have(name: str) -> None:
    """Helm takes them and the API server does not, after half of the objects."""
    with pytest.raises(HelmRenderError, match="Set fullnameOverride"):
        render(_FITTING, name=name)
    found = objects(render({**_FITTING, "fullnameOverride": "clinic"}, name=name))
    assert "clinic-receiver" in [item["metadata"]["name"] for item in found]


def test_redis_is_the_first_process(tmp_path: Path) -> None:
    """It gets SIGTERM itself; its password comes by standard input, not as an argument."""
    stub = tmp_path / "redis-server"
    stub.write_text('#!/bin/sh\necho "$$ $*"\ncat\n')
    stub.chmod(0o755)
    spec = find(written("minimal"), "StatefulSet", "redis")["spec"]["template"]["spec"]
    [container] = spec["containers"]
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDIS_PASSWORD": "se-cret"}
    shell = subprocess.Popen(
        [*container["command"], *container["args"]],
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
    )
    first, *lines = shell.communicate()[0].splitlines()
    assert first == f"{shell.pid} -"
    assert lines[:2] == ["dir /tmp", 'save ""']
    assert lines[-1] == "requirepass se-cret"


def test_alerts_ask_for_metrics_that_exist() -> None:
    """Every name in a rule is one that the web process gives."""
    source = Path(metrics.__file__).read_text(encoding="utf-8")
    [group] = next(item for item in written("production") if item["kind"] == "PrometheusRule")[
        "spec"
    ]["groups"]
    asked = {name for rule in group["rules"] for name in re.findall(r"sentinode_\w+", rule["expr"])}
    assert {"sentinode_deliveries", "sentinode_destination_failing_seconds"} <= asked
    for name in asked:
        assert f'"{name}"' in source or f'"{name.removeprefix("sentinode_")}"' in source, name


def test_scaling_down_waits() -> None:
    """KEDA's HPA keeps pods for as long as the values say, and asks the broker by its full name."""
    analysis = {"autoscaling": {"enabled": True, "cooldownSeconds": 900}}
    values = {**_FITTING, "workers": {"analysis": analysis}}
    scaled = find(objects(render(values)), "ScaledObject", "worker-analysis")["spec"]
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior == {"scaleDown": {"stabilizationWindowSeconds": 900}}
    assert scaled["triggers"][0]["metadata"]["address"] == "mq.clinic.svc:6379"


def test_the_site_has_a_clock() -> None:
    """Results on images without an offset from UTC carry the site's time."""
    seen = environment(
        objects(render({**_FITTING, "timeZone": "Europe/Berlin"})), "worker-analysis"
    )
    assert seen["TZ"] == "Europe/Berlin"
    assert "TZ" not in environment(objects(render(_FITTING)), "worker-analysis")
