"""`python -m models.training NAME ...`: the training command where `sentinode` is not installed."""

from __future__ import annotations

from models.commands import train

train(prog_name="python -m models.training")
