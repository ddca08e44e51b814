"""HCL, read by the one module that parses it."""

import sys
from concurrent.futures import ThreadPoolExecutor

from factory.system.hcl import parse
from tests.servers import ROOT


def test_texts_that_are_read_at_the_same_time_are_not_mixed() -> None:
    texts = [path.read_text() for path in sorted((ROOT / "terraform").rglob("*.tf"))]
    alone = [parse(text) for text in texts]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(parse, texts)) == alone
    finally:
        sys.setswitchinterval(before)
