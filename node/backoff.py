"""Growing pauses between tries that failed, each a little different.

What fails together, studies on the way to one archive for example, must not come back together.
"""

from __future__ import annotations

import random
from datetime import timedelta

from node.settings import Settings

# Beyond this the pause is the longest one anyway, and 2**n stays a number.
_MOST_DOUBLINGS = 16
# A pause may be this much shorter or longer.
_JITTER = 0.2


def pause(failures: int, settings: Settings) -> timedelta:
    """From the n-th failure in a row (1, 2, ...) to the next try."""
    return plain_pause(failures, settings) * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret


def plain_pause(failures: int, settings: Settings) -> timedelta:
    """The same, always as long: of what fails one by one."""
    doublings = min(max(failures - 1, 0), _MOST_DOUBLINGS)
    return timedelta(seconds=min(settings.retry_seconds * 2**doublings, settings.retry_max_seconds))
