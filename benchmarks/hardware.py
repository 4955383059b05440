"""The machine that a measurement ran on, in the words of the accuracy gate."""

from __future__ import annotations

from fmnist.hardware import hardware

__all__ = ["hardware"]
