"""The states of a model run: one model on one image.

succeeded   it answered, with findings or without
declined    the image is none for it, by its own account
failed      this image gives nothing, however often it is tried
away        the model did not answer in time; the next revision asks it again
"""

from __future__ import annotations

SUCCEEDED, DECLINED, FAILED, AWAY = "succeeded", "declined", "failed", "away"
# What a report lacks that has such a run.
LACKING = (FAILED, AWAY)
