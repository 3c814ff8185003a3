"""The doorbell: publishes Celery messages by task name, and counts those that still wait.

Publishing may fail without harm: the sweeper rings again. Only ids travel.
"""

from __future__ import annotations

from celery import Celery
from kombu.exceptions import OperationalError

from node.job import Bell
from node.logs import log
from node.settings import Settings

# Redis may be gone for a minute; the receiver and the sweeper must not wait for it.
_SOCKET_SECONDS = 2.0


class Doorbell:
    """A publisher without any task code."""

    def __init__(self, settings: Settings) -> None:
        self._celery = Celery("sentinode", broker=settings.broker_url, set_as_current=False)
        self._celery.conf.update(
            broker_transport_options={
                "socket_timeout": _SOCKET_SECONDS,
                "socket_connect_timeout": _SOCKET_SECONDS,
            },
            task_ignore_result=True,
        )

    def ring(self, bell: Bell) -> bool:
        """Publish one message; False when the broker cannot be reached."""
        try:
            self._celery.send_task(
                bell.task, args=[bell.job_id], queue=bell.queue, retry=False, ignore_result=True
            )
        except (OperationalError, OSError) as error:
            log.warning("broker unreachable", extra={"job": bell.job_id, "reason": str(error)})
            return False
        return True

    def waiting(self, queue: str) -> int | None:
        """Messages in a queue; None when the broker cannot be reached, or does not tell.

        A Redis whose memory is full refuses this question too.
        """
        with self._celery.connection_for_read() as connection:
            refusals = (*connection.connection_errors, *connection.channel_errors)
            try:
                connection.ensure_connection(max_retries=1, timeout=_SOCKET_SECONDS)
                return int(connection.default_channel._size(queue))
            except (OperationalError, OSError, *refusals) as error:
                log.warning("broker unreachable", extra={"queue": queue, "reason": str(error)})
                return None

    def close(self) -> None:
        """Release the connections."""
        self._celery.close()
