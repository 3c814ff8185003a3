"""The threads that retrieve priors beside the sweeper's loop, one for each archive."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from node.instance import Inbox, Reception, recover
from node.peers import Peer
from node.priors.getting import stream_to_disk
from node.priors.requests import fail_unknown
from node.priors.retrieval import Source
from node.priors.rules import PriorRule
from node.routes import load_routes
from node.settings import Settings
from node.store.files import Files
from node.store.session import Store
from node.store.spool import Spool


def start_sources(
    rules: Sequence[PriorRule],
    peers: Mapping[str, Peer],
    settings: Settings,
    store: Store,
    stop: threading.Event,
) -> None:
    """Retrieve in the background until `stop` is set or the process ends.

    Nothing waits for these threads: a try that is cut off is made again by whoever comes next.
    """
    fail_unknown(store, [rule.name for rule in rules])
    by_get = any(rule.retrieve == "c-get" for rule in rules)
    inbox = _open_inbox(settings, store) if by_get else None
    for ae_title in dict.fromkeys(rule.source for rule in rules):
        mine = {rule.name: rule for rule in rules if rule.source == ae_title}
        source = Source(peers[ae_title], mine, settings, store, inbox)
        threading.Thread(
            target=source.serve, args=(stop,), name=f"priors {ae_title}", daemon=True
        ).start()


def _open_inbox(settings: Settings, store: Store) -> Inbox:
    """An inbox with a spool folder of this process; what dead processes left there is removed."""
    files = Files(settings.state_dir)
    files.prepare()
    reception = Reception(settings, store, files, load_routes(settings.routes))
    recover(reception)
    spool = Spool(files.incoming)
    stream_to_disk(spool.folder)
    return Inbox(reception, spool)
