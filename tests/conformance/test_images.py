"""Dockerfiles and their locks by our own rules; nothing is built."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("*/Dockerfile"))
LOCKS = sorted((ROOT / "docker" / "locks").glob("*.txt"))


def instructions(path: Path) -> list[str]:
    """One line for each, without comments."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def stages(path: Path) -> dict[str, list[str]]:
    """Instructions by stage, those of the stages it is built from first."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in instructions(path):
        if line.startswith("FROM "):
            base, _, name = line.removeprefix("FROM ").partition(" AS ")
            current = [*found.get(base, []), line]
            found[name or "last"] = current
        elif line.strip() and current:
            current.append(line)
    return found


def final_stages() -> list[tuple[str, list[str]]]:
    """Every stage that becomes an image."""
    return [
        (f"{path.parent.name}:{name}", lines)
        for path in DOCKERFILES
        for name, lines in stages(path).items()
        if name not in ("build", "viewer")
    ]


def value(lines: list[str], instruction: str) -> str:
    """The last one counts."""
    return [line for line in lines if line.startswith(instruction + " ")][-1].split(None, 1)[1]


@pytest.mark.parametrize(("name", "lines"), final_stages())
def test_an_image_is_confined_and_watched(name: str, lines: list[str]) -> None:
    """It runs as 10001, has a health check, and adds nothing from the network by ADD.

    A group in USER takes away those that the user was put into.
    """
    grouped = any("useradd" in line and "--groups" in line for line in lines)
    assert value(lines, "USER") == ("10001" if grouped else "10001:10001")
    check = value(lines, "HEALTHCHECK")
    assert "CMD" in check
    # Docker's client puts the site's proxy into containers.
    assert ("curl" in check) == ('"--noproxy", "*"' in check)
    assert not any(line.startswith("ADD ") for line in lines)


@pytest.mark.parametrize(("name", "lines"), final_stages())
def test_the_umask_of_a_checkout_does_not_matter(name: str, lines: list[str]) -> None:
    """What the image's user reads is open to it, also where the checkout is its owner's alone."""
    copied = [line for line in lines if line.startswith("COPY ") and "--from=" not in line]
    # What only root needs, while the image is built.
    kept = [line for line in copied if not line.split()[-1].startswith("/tmp/")]
    assert bool(kept) == name.startswith("triton")
    assert all("--chmod=0755" in line for line in kept)


def test_a_jetson_opens_its_gpu_to_triton() -> None:
    """Its devices are the group video's, and its base knows where CUDA's libraries are."""
    found = stages(ROOT / "docker/triton-jetson/Dockerfile")
    for target in ("tarball", "container"):
        assert any("useradd" in line and "--groups video" in line for line in found[target])
    [path] = re.findall(r"LD_LIBRARY_PATH=(\S+)", "\n".join(found["tarball"]))
    assert path.endswith("${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")


@pytest.mark.parametrize(("name", "lines"), final_stages())
def test_an_image_lists_its_packages(name: str, lines: list[str]) -> None:
    """Where pip has installed something, the CycloneDX list of it is in the image."""
    copied = [line for line in lines if line.startswith("COPY --from=build /opt/")]
    assert bool(copied) == (name != "triton-jetson:tarball")
    assert all(
        line.endswith(("/opt/sbom.cdx.json /opt/sentinode/sbom.cdx.json", "/opt/sentinode"))
        for line in copied
    )


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_bases_are_versions_that_can_be_given_by_digest(path: Path) -> None:
    """FROM names a build argument with a version, or a stage."""
    names = set(stages(path))
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", path.read_text(), flags=re.M))
    for base in re.findall(r"^FROM (\S+)", path.read_text(), flags=re.M):
        if base in names:
            continue
        image = arguments[base.removeprefix("${").removesuffix("}")]
        assert re.search(r":.*\d", image)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_packages_come_by_hash(path: Path) -> None:
    """Every `pip install` demands hashes, or installs only what was built here."""
    for line in instructions(path):
        for command in re.findall(r"pip[^&]* install [^&]*", line):
            assert "--require-hashes" in command or "--no-index" in command


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_locks_agree_with_the_tested_versions(lock: Path) -> None:
    """A package has the version of scripts/constraints.txt, and hashes."""
    tested = {
        name.lower().replace("_", "-"): version
        for name, version in re.findall(
            r"^([\w.-]+)==(\S+)$", (ROOT / "scripts/constraints.txt").read_text(), flags=re.M
        )
    }
    text = lock.read_text()
    locked = dict(re.findall(r"^([\w.-]+)==([^\s\\]+)", text, flags=re.M))
    differing = {
        name: (version, tested[name])
        for name, version in locked.items()
        if tested.get(name, version) != version
    }
    assert differing == {}, "run `make image-locks`"
    assert text.count("--hash=sha256:") >= len(locked)


@pytest.mark.parametrize(("lock", "extra"), [("node", None), ("worker", "worker")])
def test_locks_hold_what_the_project_needs(lock: str, extra: str | None) -> None:
    """Every dependency of pyproject.toml is locked."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"].get(extra, [])]
    names = {re.split(r"[\[><=]", text)[0].lower() for text in wanted}
    text = (ROOT / "docker" / "locks" / f"{lock}.txt").read_text()
    locked = {name for name, _ in re.findall(r"^([\w.-]+)==([^\s\\]+)", text, flags=re.M)}
    assert names <= locked, "run `make image-locks`"


def test_the_worker_has_no_torch() -> None:
    """Serving never loads it, so the image does not carry it."""
    assert "\ntorch" not in (ROOT / "docker/locks/worker.txt").read_text()
