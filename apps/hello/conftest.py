"""Lets the tests import the app as its zip archive does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))
