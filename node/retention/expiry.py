"""Passes over the studies at rest: each that may go goes, in a transaction of its own.

In: the clock, and what is at rest in the store. Out: studies that are `removed`, their files taken
from the disk, a log line for each.

A turn is bounded, in studies and in seconds, and each study is a transaction of its own, so that a
backlog of any size neither holds up receivers nor costs more with a larger store. The place that a
turn ends at is remembered only to go on there; any number of processes may do this, and each may
die at any moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from node.job import utc_now
from node.logs import log
from node.retention.leftovers import Leftovers
from node.retention.removal import Position, Rule, Weight, candidates, obstacle, remove_study, weigh
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Study

# Studies that are looked at in a turn, and how long a turn goes on taking the next.
_MOST = 50
_TURN_SECONDS = 1.0
# Between two passes: what may go is counted in days.
_REST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Looked:
    """One study that a rule may apply to. `reason`: why it stays; None when it may go."""

    study_uid: str
    last_instance_at: datetime
    weight: Weight
    reason: str | None


class Expiry:
    """One pass after another over the studies of a rule, in turns.

    `clock`: None while nothing may be done.
    """

    def __init__(
        self,
        store: Store,
        files: Files,
        rule: Rule,
        clock: Callable[[], datetime | None] = utc_now,
    ) -> None:
        self._store, self._files, self._rule, self._clock = store, files, rule, clock
        self._leftovers = Leftovers(store, files)
        # Receivers' too: else one of them gets its turn by chance, and that after a whole backlog.
        self._turn = store.turn()
        self._left = list(rule.states)
        self._position: Position | None = None
        # What has gone so far.
        self.studies = self.size_bytes = 0

    def turn(self, now: datetime | None = None) -> bool:
        """Do the next part; False when a pass is over and no file waits. Raises SQLAlchemyError."""
        now = now or self._clock()
        if now is None:
            return False
        more = self._rule.days > 0 and self._remove_some(now)
        return self._leftovers.clear_due(now, _MOST) == _MOST or more

    def _remove_some(self, now: datetime) -> bool:
        end = time.monotonic() + _TURN_SECONDS
        with self._store.reading() as session:
            found = candidates(
                session, self._left[0], self._rule.before(now), self._position, _MOST
            )
        for position in found:
            # First: a study that cannot be removed must not hold up those behind it.
            self._position = position
            self._remove(position[1], now)
            if time.monotonic() > end:
                return True
        return len(found) == _MOST or self._next_state()

    def _next_state(self) -> bool:
        """Go on with the next state; False when a pass is over, and the next one begins."""
        self._position = None
        self._left = self._left[1:]
        if self._left:
            return True
        self._left = list(self._rule.states)
        return False

    def _remove(self, study_uid: str, now: datetime) -> None:
        with self._turn:
            weight = remove_study(self._store, self._files, study_uid, self._rule, now)
        if weight is None:
            return
        self.studies += 1
        self.size_bytes += weight.size_bytes
        facts = {"study": study_uid, "rule": self._rule.name, "days": self._rule.days}
        counts = {"instances": weight.instances, "results": weight.results}
        log.info("study removed", extra=facts | counts | {"bytes": weight.size_bytes})


def look(store: Store, rule: Rule, now: datetime | None = None) -> Iterator[Looked]:
    """Every study whose last instance is old enough, and whether it may go; changes nothing."""
    now = now or utc_now()
    for state in rule.states:
        position: Position | None = None
        while True:
            with store.reading() as session:
                found = candidates(session, state, rule.before(now), position, _MOST)
                looked = [
                    Looked(uid, at, weigh(session, uid), obstacle(session, study, rule, now))
                    for at, uid in found
                    if (study := session.get(Study, uid)) is not None
                ]
            yield from looked
            if len(found) < _MOST:
                break
            position = found[-1]


def expire_until(stop: threading.Event, expiry: Expiry, turn_seconds: float) -> None:
    """Take turns until `stop` is set, one every `turn_seconds` while there is more to do."""
    pause = turn_seconds
    while not stop.wait(pause):
        try:
            pause = turn_seconds if expiry.turn() else _REST_SECONDS
        except SQLAlchemyError as error:
            reason = str(error).splitlines()[0]
            log.error("database error; studies are removed later", extra={"reason": reason})
            pause = _REST_SECONDS
        except Exception:  # noqa: BLE001  # the outer shell: the disk must not fill for one study
            log.exception("studies are removed later")
            pause = _REST_SECONDS
