"""The Helm chart through Helm's own engine, and its objects against Kubernetes' own schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import yaml
from helm_python import _native
from referencing import Registry, Resource

CHART = Path(__file__).resolve().parents[2] / "helm" / "sentinode"
SCENARIOS = {path.stem: path for path in sorted((CHART / "ci").glob("*.yaml"))}
VERSIONS = [f"1.{minor}" for minor in range(28, 38)]

# What a cluster may serve beside Kubernetes itself, and what of it the chart can write.
OPERATORS = ("monitoring.coreos.com/v1", "keda.sh/v1alpha1", "gateway.networking.k8s.io/v1")
CUSTOM_KINDS = ("ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute")

Manifest = dict[str, Any]


def values_of(scenario: str) -> dict[str, Any]:
    """The values file of a scenario."""
    values: dict[str, Any] = yaml.safe_load(SCENARIOS[scenario].read_text(encoding="utf-8"))
    return values


@cache
def chart() -> helm_python.Chart:
    """The chart, loaded once; it never changes while tests run."""
    return helm_python.Chart.load(str(CHART))


def render(
    values: Mapping[str, Any],
    version: str = VERSIONS[0],
    operators: tuple[str, ...] = OPERATORS,
    **more: Any,
) -> dict[str, str]:
    """Text by template; raises HelmRenderError and HelmValuesError as `helm install` does."""
    options = {
        "name": "trial",
        "namespace": "clinic",
        "kube_version": f"v{version}.0",
        "api_versions": list(operators),
        **more,
    }
    # The library takes these options, its Python wrapper has no arguments for them.
    handle = chart()._raw()
    rendered = _native.call_string("helm_render", handle, json.dumps(values), json.dumps(options))
    texts: dict[str, str] = json.loads(rendered)
    return {path.removeprefix("sentinode/templates/"): text for path, text in texts.items()}


def objects(texts: Mapping[str, str]) -> list[Manifest]:
    """Every Kubernetes object."""
    return list(_objects(texts))


@cache
def written(scenario: str) -> list[Manifest]:
    """The objects of a scenario; nobody changes them."""
    return objects(render(values_of(scenario)))


def _objects(texts: Mapping[str, str]) -> Iterator[Manifest]:
    for path, text in texts.items():
        if path != "NOTES.txt":
            yield from (found for found in yaml.load_all(text, _Loader) if found)


class _Loader(yaml.CSafeLoader):
    """Refuses a key that stands twice, which YAML parsers pass over."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{twice} stands twice, line {node.start_mark.line}"
        return super().construct_mapping(node, deep)


def find(found: list[Manifest], kind: str, name: str) -> Manifest:
    """One object by kind and the end of its name."""
    [one] = [
        item
        for item in found
        if item["kind"] == kind and item["metadata"]["name"] == f"trial-sentinode-{name}"
    ]
    return one


def pods(found: list[Manifest]) -> list[tuple[str, Manifest]]:
    """Name and pod spec of everything that runs; claims of a StatefulSet are volumes too."""
    specs = []
    for item in found:
        outer = item.get("spec", {})
        spec = outer if item["kind"] == "Pod" else outer.get("template", {}).get("spec", {})
        if "containers" in spec:
            claims = [{"name": claim["metadata"]["name"]} for claim in _claims(outer)]
            volumes = [*spec.get("volumes", []), *claims]
            specs.append((item["metadata"]["name"], {**spec, "volumes": volumes}))
    return specs


def _claims(spec: Manifest) -> list[Manifest]:
    return list(spec.get("volumeClaimTemplates", []))


def environment(found: list[Manifest], component: str) -> dict[str, Any]:
    """What a component's container sees; a reference to a Secret as `secret/key`."""
    settings = dict(find(found, "ConfigMap", "settings")["data"])
    [container] = find(found, "Deployment", component)["spec"]["template"]["spec"]["containers"]
    for entry in container["env"]:
        secret = entry.get("valueFrom", {}).get("secretKeyRef")
        settings[entry["name"]] = f"{secret['name']}/{secret['key']}" if secret else entry["value"]
    return settings


def kubernetes_errors(item: Manifest, version: str) -> list[str]:
    """What kubernetes-validate --strict says of an object; an unknown kind is an error too."""
    group, _, rest = item["apiVersion"].rpartition("/")
    api = "-".join(part for part in (group.split(".")[0], rest) if part)
    name = f"{item['kind'].lower()}-{api}"
    return _errors(version, name, json.dumps(item, sort_keys=True))


@cache
def _errors(version: str, name: str, text: str) -> list[str]:
    validator = _validator(version, name)
    if validator is None:
        return [f"Kubernetes {version} knows no {name}"]
    errors = validator.iter_errors(json.loads(text))
    return [f"{name} {error.json_path}: {error.message}" for error in errors]


@cache
def _validator(version: str, name: str) -> jsonschema.protocols.Validator | None:
    path = _schemas(version) / f"{name}.json"
    if not path.is_file():
        return None
    schema = json.loads(path.read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema, registry=_registry(version))


@cache
def _registry(version: str) -> Registry[Any]:
    text = (_schemas(version) / "_definitions.json").read_text(encoding="utf-8")
    definitions: Resource[Any] = Resource.from_contents(json.loads(text))
    registry: Registry[Any] = definitions @ Registry()
    return registry


@cache
def _schemas(version: str) -> Path:
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    [found] = folder.glob(f"v{version}*-local-strict")
    return found
