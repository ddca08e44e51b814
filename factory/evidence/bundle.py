"""Makes a bundle: one archive from which anyone verifies and reads a part of the evidence, without the factory. Pure.

It has the whole log, because only a whole log shows that nothing was left out, and for each statement of the part a
proof of its own (https://c2sp.org/tlog-proof).
"""

import base64
import io
import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.evidence import merkle_tree, provenance, standalone, transparency_log
from factory.evidence.schemas import schemas
from factory.evidence.timeline import Event, said
from factory.evidence.transparency_log import Entry
from factory.evidence.trust import Trust
from factory.evidence.verify import VerifyReport
from factory.system import templates

_PAGE = Path(__file__).with_name("bundle.html.j2")
# The oldest time that a zip archive can hold: the same evidence gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Approval:
    """Who approved what, and the digests that the approval names."""

    time: str
    approver: str
    scope: str
    type: str
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class BuiltArchive:
    """The name of a build, which its files in the bundle have, the digest of its archive, and its packages."""

    name: str
    archive: str
    packages: tuple[str, ...]


def pack(
    tree: Mapping[str, bytes], trust: Trust, *, subject: str, about: Collection[int], report: VerifyReport
) -> bytes:
    """Return the archive; ``about`` are the indexes of the subject's statements, ``report`` is their verification."""
    entries = transparency_log.read(tree)
    leaves = [merkle_tree.leaf_hash(entry.digest.encode()) for entry in entries]
    chosen = [entry for entry in entries if entry.index in about]
    files = {f"log/{path}": content for path, content in tree.items()}
    for entry in chosen:
        proof = tlog_proof(leaves, entry.index, tree[transparency_log.CHECKPOINT])
        files[f"proofs/{entry.index:08}.tlog-proof"] = proof
        if entry.kind == "build":
            files[f"builds/{provenance.name_of(entry)}.intoto.json"] = tree[
                transparency_log.path_of(entry.index, entry.statement)
            ]
            files[f"builds/{provenance.name_of(entry)}.cdx.json"] = provenance.bill_of_materials(entry)
    files["trust.json"] = trust.write()
    files["schemas.json"] = json.dumps(schemas(), indent=1, sort_keys=True).encode()
    files["verify.py"] = Path(standalone.__file__).read_bytes()
    files["index.html"] = page(chosen, trust, subject=subject, report=report).encode()
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), files[path], zipfile.ZIP_DEFLATED)
    return found.getvalue()


def tlog_proof(leaves: Sequence[bytes], index: int, checkpoint: bytes) -> bytes:
    """Return the proof that a leaf hash is in the log, as text that ends with the checkpoint (tlog-proof, Format)."""
    hashes = [base64.b64encode(item).decode() for item in merkle_tree.inclusion_proof(leaves, index)]
    return "\n".join(["c2sp.org/tlog-proof@v1", f"index {index}", *hashes, "", ""]).encode() + checkpoint


def page(entries: Sequence[Entry], trust: Trust, *, subject: str, report: VerifyReport) -> str:
    """Return the page that a person reads: what happened, what was proven, and who approved which digests."""
    ended = trust.ending([(entry.index, keyid) for entry in entries for keyid in entry.signers])
    events = [Event(entry.index, str(entry.predicate["time"]), entry.kind, said(entry)) for entry in entries]
    merges = [entry.predicate["head"] for entry in entries if entry.kind == "merge"]
    verdicts = [
        entry
        for entry in entries
        if entry.kind == "verdict" and entry.predicate["head"] in (merges or [entry.predicate["head"]])
    ]
    values = {
        "subject": subject,
        "project": entries[0].predicate["project"] if entries else "",
        "events": events,
        "requirements": verdicts[-1].predicate["requirements"] if verdicts else [],
        "verdict": verdicts[-1].predicate["result"] if verdicts else "",
        "gates": verdicts[-1].predicate["gates"] if verdicts else [],
        "approvals": [_approval(entry) for entry in entries if entry.kind == "approval"],
        "builds": [_build(entry) for entry in entries if entry.kind == "build"],
        "deploys": [entry.predicate for entry in entries if entry.kind == "deploy"],
        "keys": [
            (key.name or "recorder", key.public, key.since, key.until, ", ".join(key.kinds))
            for key in ended.keys.values()
        ],
        "report": report,
        "passed": sum(check.passed for check in report.checks),
        "origin": trust.origin,
    }
    return templates.render_html(_PAGE.read_text(encoding="utf-8"), values, source=_PAGE.name)


def _build(entry: Entry) -> BuiltArchive:
    return BuiltArchive(provenance.name_of(entry), entry.predicate["archive"], provenance.packages_of(entry))


def _approval(entry: Entry) -> Approval:
    value = entry.predicate
    names = tuple((name, str(value[name])) for name in ("head", "spec", "policy", "plan") if value[name] is not None)
    return Approval(value["time"], value["approver"], value["scope"], value["approval_type"], names)
