"""Makes the summary of the escape suite known to a run of this folder alone."""

from tests.sandbox.escape_summary import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]
