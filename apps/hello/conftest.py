"""Lets tests import the app in the same way as its zip archive."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))
