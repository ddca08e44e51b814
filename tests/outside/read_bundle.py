"""Run by a Python with the packages of evidence.lock: reads a bundle with a C2SP client and a CycloneDX validator.

``python read_bundle.py FOLDER VERIFIER_KEY`` exits with 1 at the first thing that is wrong; it prints what it read.
"""

import sys
from pathlib import Path

from aics_tlog.checkpoint import parse_checkpoint, verify_checkpoint
from aics_tlog.note import parse_note, parse_vkey
from aics_tlog.tiles import FileSystemTileReader
from aics_tlog.verified import audit_tiles
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main(folder: Path, verifier_key: str) -> None:
    """Verify the checkpoint's signature, every tile and entry below it, and each bill of materials."""
    note = parse_note((folder / "log/checkpoint").read_text())
    key = parse_vkey(verifier_key)
    found = verify_checkpoint(note, key, expected_origin=key.name)
    if not found.log_ok:
        sys.exit(f"the checkpoint: {found.error}")
    checkpoint = parse_checkpoint(note.text)
    audited = audit_tiles(FileSystemTileReader(folder / "log"), checkpoint.size, checkpoint.root)
    boms = sorted(folder.glob("builds/*.cdx.json"))
    for bom in boms:
        problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom.read_text())
        if problem is not None:
            sys.exit(f"{bom.name}: {problem}")
    print(f"{audited.size} entries, {audited.tiles} tiles, {len(boms)} bills of materials")  # noqa: T201 - a program's output


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
