"""docker-compose.yml by its schema, by the settings and by our own rules; nothing is started."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft202012Validator

from node.settings import Settings
from scripts.write_compose import with_settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROFILES = ("cpu", "gpu", "jetson")
NOT_SETTINGS = {"SENTINODE_SECRETS_DIR", "SENTINODE_TRITON_CPU_THREADS"}
OURS = ("sentinode/node", "sentinode/web", "sentinode/worker", "sentinode/triton")


def active(profile: str) -> set[str]:
    """Services that a profile starts."""
    return {
        name for name, service in SERVICES.items() if profile in service.get("profiles", [profile])
    }


def test_schema() -> None:
    """The file, with its variables at their defaults, is what the Compose specification allows."""
    validator = Draft202012Validator(get_builtin_schema("vendor.compose-spec"))
    read = yaml.safe_load(re.sub(r"(?<!\$)\$\{\w+:-([^}]*)\}", r"\1", TEXT))
    assert [error.message for error in validator.iter_errors(read)] == []


def test_every_setting_is_there_and_none_is_unknown() -> None:
    """A setting that is added, renamed or removed must be so here, too."""
    assert with_settings(TEXT) == TEXT, "run `make configuration`"
    known = {f"SENTINODE_{name.upper()}" for name in Settings.model_fields} | NOT_SETTINGS
    for service in [*SERVICES.values(), {"environment": COMPOSE["x-settings"]}]:
        used = {name for name in service.get("environment", {}) if name.startswith("SENTINODE_")}
        assert used <= known


def test_dot_env_names_a_profile_and_known_settings() -> None:
    """`docker compose up` with the .env of the repository starts the CPU profile."""
    lines = (ROOT / ".env").read_text(encoding="utf-8").splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert pairs == {"COMPOSE_PROFILES": "cpu"}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_complete(profile: str) -> None:
    """What a service must wait for is started with it; one Triton answers to the name `triton`."""
    started = active(profile)
    for name in started:
        for other, condition in SERVICES[name].get("depends_on", {}).items():
            assert other in SERVICES
            assert other in started or condition.get("required") is False
    servers = [name for name in started if name.startswith("triton")]
    assert len(servers) == 1
    assert SERVICES[servers[0]]["networks"] == {"inference": {"aliases": ["triton"]}}
    assert ("postgresql" in started) == (profile != "jetson")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_confined(name: str) -> None:
    """Read-only root, no capabilities, bounded memory, ports on this machine only."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert not {"privileged", "cap_add", "pid", "ipc"} & set(service)
    assert service.get("network_mode", "none") == "none"
    for port in service.get("ports", []):
        assert re.match(r"(\$\{\w+:-)?127\.0\.0\.1", port)


def test_no_password_is_written_down() -> None:
    """Passwords come from files; nothing here is one, and no URL carries one."""
    assert not re.search(r"://[^/\s@]*:[^/\s@]+@", TEXT)
    for service in SERVICES.values():
        for name, value in (service.get("environment") or {}).items():
            assert value is None or "PASSWORD" not in name or name.endswith("_FILE")


def test_data_reaches_the_outside_through_no_shortcut() -> None:
    """Database, broker and Triton are on internal networks alone."""
    internal = {
        name for name, facts in COMPOSE["networks"].items() if (facts or {}).get("internal")
    }
    for name in ("postgresql", "redis", "triton", "triton-gpu", "triton-jetson", "migrate"):
        assert set(SERVICES[name]["networks"]) <= internal


def test_a_worker_may_end_its_study() -> None:
    """It is given as long as in the chart before it is cut off."""
    values = yaml.safe_load((ROOT / "helm/sentinode/values.yaml").read_text(encoding="utf-8"))
    seconds = values["workers"]["analysis"]["terminationGracePeriodSeconds"]
    for name in ("worker", "delivery", "worker-edge"):
        assert SERVICES[name]["stop_grace_period"] == f"{seconds // 60}m"


def test_nobody_elses_image_is_taken_for_ours() -> None:
    """What is built here is never asked of Docker Hub, where anybody may have its name."""
    built = {name for name, service in SERVICES.items() if "build" in service}
    assert {"node", "web", "worker", "triton", "triton-gpu", "triton-jetson", "demo"} <= built
    for name in built:
        assert SERVICES[name]["pull_policy"] == "${SENTINODE_PULL:-never}", name


def test_engines_may_be_built_before_a_gpu_is_healthy() -> None:
    """Workers wait for it as long as for a Jetson, whose image says so itself."""
    assert SERVICES["triton-gpu"]["healthcheck"] == {"start_period": "30m"}


def test_images_have_versions() -> None:
    """Images of others carry a version, and can be given by digest."""
    for service in SERVICES.values():
        image = service["image"]
        assert re.fullmatch(r"\$\{[A-Z_]+:-[^}]+\}", image)
        name, _, tag = image.split(":-", 1)[1].rstrip("}").partition(":")
        assert name.startswith(OURS) or re.search(r"\d", tag)
