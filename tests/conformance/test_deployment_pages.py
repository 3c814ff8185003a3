"""What the pages on deployment tell people to type exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft202012Validator

from node.settings import Settings
from scripts import chart_schema
from tests.conformance.chart import CHART, written

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)["services"]
COMPOSE, KUBERNETES, EDGE = (
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("deployment-compose", "deployment-kubernetes", "edge")
)
SETTINGS = {f"SENTINODE_{name.upper()}" for name in Settings.model_fields}
# Names of settings stand without their prefix too.
_VARIABLE = r"\b[A-Z][A-Z]*(?:_[A-Z]+)+\b"


def _code(page: str) -> list[str]:
    """Everything that is set as code: blocks, then what stands between backticks."""
    blocks = re.findall(r"```\w*\n(.*?)```", page, flags=re.S)
    rest = re.sub(r"```.*?```", "", page, flags=re.S)
    return [*blocks, *(" ".join(text.split()) for text in re.findall(r"`([^`]+)`", rest))]


def _spelled_out(text: str) -> str:
    """With A_{B,C}_D as A_B_D A_C_D."""
    return re.sub(
        r"(\w+)\{([A-Z_,]+)\}(\w+)",
        lambda found: " ".join(f"{found[1]}{each}{found[3]}" for each in found[2].split(",")),
        text,
    )


def _interpolated() -> set[str]:
    return set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE_TEXT))


def test_every_variable_of_compose_is_explained() -> None:
    """What docker-compose.yml reads, the page has."""
    named = set(re.findall(_VARIABLE, _spelled_out(COMPOSE)))
    assert _interpolated() - SETTINGS - named == set()


@pytest.mark.parametrize("page", [COMPOSE, EDGE], ids=["compose", "edge"])
def test_variables_of_the_pages_are_read_by_something(page: str) -> None:
    """By Compose itself, by docker-compose.yml, by the node, or by a build."""
    of_compose = {"COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"}
    of_builds = {"PYTHON_IMAGE", "TRITON_IMAGE", "DOCKER_BUILDKIT"}
    of_triton = {"SENTINODE_TRITON_PRECISION"}
    known = SETTINGS | _interpolated() | of_compose | of_builds | of_triton
    known |= {"SENTINODE_SECRETS_DIR"} | {name.removeprefix("SENTINODE_") for name in SETTINGS}
    for text in _code(page):
        assert set(re.findall(_VARIABLE, _spelled_out(text))) <= known, text


@pytest.mark.parametrize("page", [COMPOSE, EDGE], ids=["compose", "edge"])
def test_commands_name_services(page: str) -> None:
    """`docker compose exec` and `run` are given services of the file."""
    words = r"docker compose (?:exec|run)((?: --?[\w-]+(?: /\S+| tar)?)*) ([a-z-]+)"
    found = re.findall(words, "\n".join(_code(page)))
    assert found
    assert {service for _, service in found} <= set(SERVICES)


def test_an_override_is_what_compose_takes() -> None:
    """The example that publishes the TLS port fits the schema and changes services that exist."""
    [text] = re.findall(r"```yaml\n(.*?)```", COMPOSE, flags=re.S)
    override = yaml.safe_load(text)
    validator = Draft202012Validator(get_builtin_schema("vendor.compose-spec"))
    assert [error.message for error in validator.iter_errors(override)] == []
    assert set(override["services"]) <= set(SERVICES)


def test_your_own_files_reach_every_process() -> None:
    """One folder of the administrator's, read-only, in each container that reads settings."""
    mount = "${SENTINODE_FILES:-given-files}:/etc/sentinode/files:ro"
    readers = [name for name, one in SERVICES.items() if "SENTINODE_STATE_DIR" in _environment(one)]
    assert {"node", "web", "sweeper", "worker", "delivery", "worker-edge"} <= set(readers)
    for name in readers:
        assert mount in SERVICES[name]["volumes"], name
        assert "TZ" in _environment(SERVICES[name]), name


def _environment(service: dict[str, Any]) -> dict[str, Any]:
    return dict(service.get("environment") or {})


def _paths() -> list[str]:
    """Values with a dot that the page on Kubernetes names as code."""
    known = set(chart_schema.chart_schema()["properties"])
    words = re.findall(r"(?<![\w./-])([a-z]\w*(?:\.\w+)+)(?![\w./-])", "\n".join(_code(KUBERNETES)))
    return sorted({word for word in words if word.split(".")[0] in known})


def test_values_that_the_page_names_are_found() -> None:
    """The search below sees some, single ones among them."""
    assert {"image.registry", "broker.database", "settings.min_free_bytes"} <= set(_paths())


@pytest.mark.parametrize("path", _paths())
def test_a_value_of_the_page_exists(path: str) -> None:
    """Nobody is told to set what the chart does not know."""
    node = chart_schema.chart_schema()
    for name in path.split("."):
        assert name in node["properties"], path
        node = node["properties"][name]


def test_files_and_alerts_of_the_page_exist() -> None:
    """Paths below the top of the repository, and names of alerts."""
    code = "\n".join(_code(KUBERNETES))
    paths = set(re.findall(r"(?<![\w/])((?:helm|scripts)/[\w./-]*\w)", code))
    assert "helm/sentinode/ci/minimal.yaml" in paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    [rules] = [item for item in written("production") if item["kind"] == "PrometheusRule"]
    alerts = {rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"]}
    assert set(re.findall(r"Sentinode[A-Z]\w+", code)) <= alerts


def test_the_page_makes_every_secret_of_its_example() -> None:
    """What ci/production.yaml refers to, and nothing that it does not."""
    text = json.dumps(written("production"))
    pulled = re.findall(r'"imagePullSecrets": \[\{"name": "([^"]+)"', text)
    keys = re.findall(r'"secretKeyRef": \{"name": "([^"]+)"', text)
    mounted = re.findall(r'"secretName": "([^"]+)"', text)
    made = re.findall(r"kubectl create secret [\w-]+ ([\w-]+)", KUBERNETES)
    assert sorted(made) == sorted({*pulled, *keys, *mounted})


def test_the_tag_of_the_page_is_the_one_that_is_pulled() -> None:
    """Images are pushed under the chart's appVersion."""
    application = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    assert set(re.findall(r"TAG=(\S+)", KUBERNETES)) == {application}
