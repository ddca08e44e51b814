"""The policies that this repository ships, read once for all tests."""

from factory.policies import read
from tests.servers import ROOT

FILES = {f"policies/{path.name}": path.read_bytes() for path in (ROOT / "policies").glob("*.yml")}
POLICIES = read.read(FILES)
