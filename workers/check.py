"""`sentinode check`: everything between a modality and the archive, looked at once.

Each check ends in a `Check` whose text says what to do; none stops the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from models.registry import get_model
from node.calling import echo as echo_peer
from node.destinations import Destination, load_destinations
from node.errors import ConfigurationError, SentinodeError
from node.health import Check, readiness
from node.peers import Peer, load_peers
from node.priors.rules import PriorRule, load_priors
from node.routes import load_routes
from node.settings import Settings, unknown_variables
from node.store.files import Files
from node.store.session import open_store
from workers.dicom.orthanc import open_orthanc
from workers.dispatch.survey import survey
from workers.triton.balanced import for_people, resolve
from workers.triton.client import TritonClient
from workers.triton.contract import check_model

# What the zones of tzdata without any offset call themselves, all year.
_NAMES_OF_ZERO = {"UTC", "GMT", "+00"}


def all_checks(settings: Settings) -> list[Check]:
    """Configuration, readiness of the node, models, destinations, peers."""
    return [
        *_configuration(settings),
        *readiness(open_store(settings), Files(settings.state_dir), settings),
        *_models(settings),
        *_destinations(settings),
        *_peers(settings),
    ]


def _configuration(settings: Settings) -> Iterator[Check]:
    yield _settings()
    yield _clock()
    yield _tried("routes", lambda: f"{len(load_routes(settings.routes).rules)} rules")
    yield _tried(
        "destinations", lambda: f"{len(load_destinations(settings.destinations))} destinations"
    )
    yield _tried("peers", lambda: f"{len(load_peers(settings.peers))} peers")
    yield _tried("priors", lambda: f"{len(_prior_rules(settings))} rules")


def _settings() -> Check:
    """A variable that is none restricts nobody; one that looks like a setting is misspelt."""
    unknown = unknown_variables()
    if not unknown:
        return Check("settings", ok=True, text="every SENTINODE_ variable is one")
    said = [
        f"{name} is none and is ignored" + (f": did you mean {similar}?" if similar else "")
        for name, similar in unknown.items()
    ]
    return Check("settings", ok=not any(unknown.values()), text="; ".join(said))


def _clock() -> Check:
    """The zone of this machine, for images without an offset; of a misspelt one the C library makes
    UTC and says nothing."""
    if not time.timezone and not time.daylight and time.tzname[0] not in _NAMES_OF_ZERO:
        told = "TZ is no zone that is known here, and counts as UTC; write it as Europe/Berlin"
        return Check("clock", ok=False, text=told)
    return Check("clock", ok=True, text=f"{datetime.now(UTC).astimezone():%H:%M, UTC%z}")


def _models(settings: Settings) -> Iterator[Check]:
    try:
        names = load_routes(settings.routes).models()
    except SentinodeError:
        return
    try:
        addresses = resolve(settings.triton_url)
    except ConfigurationError as error:
        yield Check("models", ok=False, text=str(error))
        return
    for address in addresses:
        client = TritonClient(address, settings.triton_timeout_seconds)
        where = f" at {address}" if len(addresses) > 1 else ""
        for name in names:
            yield _tried(f"model {name}{where}", partial(_model, client, name, address))


def _model(client: TritonClient, name: str, address: str) -> str:
    spec = get_model(name).spec
    with for_people(address):
        check_model(client, spec)
    return f"served as specified, version {spec.version}"


def _destinations(settings: Settings) -> Iterator[Check]:
    try:
        destinations = load_destinations(settings.destinations)
    except SentinodeError:
        return
    for destination in destinations:
        yield _destination(destination, settings)
        if destination.replace == "orthanc-delete":
            look = partial(_orthanc, destination)
            yield _tried(f"destination {destination.name}, replacement", look)


def _destination(destination: Destination, settings: Settings) -> Check:
    name = f"destination {destination.name}"
    try:
        return Check(name, *survey(destination, settings))
    except SentinodeError as error:
        return Check(name, False, str(error))


def _orthanc(destination: Destination) -> str:
    with open_orthanc(destination) as orthanc:
        return f"Orthanc {orthanc.version()} answers"


def _peers(settings: Settings) -> Iterator[Check]:
    try:
        peers = load_peers(settings.peers)
    except SentinodeError:
        return
    for peer in peers.values():
        yield _peer(peer, settings)


def _peer(peer: Peer, settings: Settings) -> Check:
    def answer() -> str:
        echo_peer(peer, settings)
        return "answers C-ECHO"

    return _tried(f"peer {peer.ae_title}", answer)


def _prior_rules(settings: Settings) -> tuple[PriorRule, ...]:
    return load_priors(settings.priors, load_peers(settings.peers))


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except SentinodeError as error:
        return Check(name, False, str(error))
