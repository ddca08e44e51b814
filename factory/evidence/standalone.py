"""Verifies evidence without the factory: this file, the standard library and the package `cryptography`.

    python3 verify.py FOLDER trust.json schemas.json [MERGE_REQUEST]        # FOLDER: a checkout of factory/evidence

Prints each finding, and exits with 1 if there is one.
Formats: DSSE, in-toto Statement v1, RFC 8785, RFC 6962, C2SP tlog-tiles, tlog-checkpoint and signed-note.
"""

import base64, hashlib, json, re, sys
from collections import namedtuple
from datetime import datetime
from pathlib import Path
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PATH = re.compile(r"statements/([0-9]{8})-([a-z]+)-[0-9a-f]{12}\.json")
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
PROBLEMS = (ValueError, TypeError, KeyError, RecursionError, InvalidSignature)
Entry = namedtuple("Entry", "index kind signers p")
Link = namedtuple("Link", "reached faults missing", defaults=([], []))

def need(holds, what):
    if not holds: raise ValueError(what)
def sha256(data): return hashlib.sha256(data).digest()
def last(items): return items[-1] if items else None
def matches(pattern, text): return re.search(pattern.replace("$", r"\Z"), text) is not None
def read(path): return b"" if path.is_symlink() else path.read_bytes()
def public(key): return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["public"]))

def canonical(value):
    """Return the bytes of RFC 8785 for JSON without fractions."""
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
        return b"{" + b",".join(canonical(key) + b":" + canonical(item) for key, item in pairs) + b"}"
    if isinstance(value, list): return b"[" + b",".join(map(canonical, value)) + b"]"
    need(value is None or isinstance(value, (str, int)), "a number has a fraction")
    return json.dumps(value, ensure_ascii=False).encode()
def decode(data):
    value = json.loads(data)
    need(canonical(value) == data, "not canonical JSON")
    return value
def unbase64(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 that is not canonical")
    return data

def fits(value, schema):  # JSON Schema, as far as the schemas use it
    if "anyOf" in schema: return any(fits(value, one) for one in schema["anyOf"])
    if "enum" in schema: return value in schema["enum"]
    if type(value) is not TYPES[schema["type"]]: return False
    if isinstance(value, str):
        if schema.get("format") == "date-time": datetime.fromisoformat(value[:19])
        return matches(schema.get("pattern", ""), value)
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(fits(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        forms = {n: [known[n]] if n in known else [patterns[p] for p in patterns if matches(p, n)] for n in value}
        return value.keys() >= {*schema.get("required", ())} and all(any(fits(value[n], f) for f in forms[n]) for n in value)
    return "maximum" not in schema or schema["minimum"] <= value <= schema["maximum"]

def read_statement(path, data, keys, schemas):
    envelope = decode(data)
    need(fits(envelope, schemas["envelope"]), "not an envelope")
    payload, kind, signers = unbase64(envelope["payload"]), PATH.fullmatch(path)[2], []
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    for item in envelope["signatures"]:
        need(item["keyid"] in keys and item["keyid"] not in signers, "a key is not trusted, or signed twice")
        public(keys[item["keyid"]]).verify(unbase64(item["sig"]), signed)
        signers.append(item["keyid"])
    value = decode(payload)
    need(fits(value, schemas[kind]), f"not a statement of the kind {kind}")
    p, found = value["predicate"], {item["name"]: ":".join(*item["digest"].items()) for item in value["subject"]}
    need([item["name"] for item in value["subject"]] == sorted(found), "the subjects are not sorted")
    bound = [p[field] for field in schemas[kind]["x-subjects"] if p[field] is not None]
    need({item if ":" in item else f"gitCommit:{item}" for item in bound} <= {*found.values()}, "a subject is missing")
    files = {"claim": [f"issue/{p['issue']}"], "attempt": ["brief", "transcript"]}.get(kind, [])
    need(all(found.get(name, "").startswith("sha256:") for name in files), "a subject is missing")
    need(kind != "verdict" or "sha256:" in "".join(found.values()), "a subject is missing")
    need(path[20:] == f"{kind}-{sha256(p['key'].encode()).hex()[:12]}.json", "the path of another statement")
    return Entry(int(path[11:19]), kind, signers, p)

def root(row):
    while len(row) > 1:
        pairs = [sha256(b"\x01" + row[n] + row[n + 1]) for n in range(0, len(row) - 1, 2)]
        row = pairs + (row[-1:] if len(row) % 2 else [])
    return row[0] if row else sha256(b"")

def layout(entries, leaves):
    """Return the only tiles that a log of these entries has."""
    rows, tree, level = {"entries": [len(entry).to_bytes(2, "big") + entry for entry in entries], 0: leaves}, {}, 0
    while len(rows[level]) >= 256:
        rows[level + 1] = [root(rows[level][n : n + 256]) for n in range(0, len(rows[level]) - 255, 256)]
        level += 1
    for name, row in rows.items():
        for start in range(0, len(row), 256):
            part, number = row[start : start + 256], f"{start // 256}"
            *groups, end = re.findall("...", number.zfill(-(-len(number) // 3) * 3))
            place = "/".join([f"tile/{name}", *(f"x{group}" for group in groups), end])
            tree[place + ("" if len(part) == 256 else f".p/{len(part)}")] = b"".join(part)
    return tree

def signs(key, kind, index):
    ended = key["until"] if key.get("until") is not None else index + 1
    return (not key.get("kinds") or kind in key["kinds"]) and key.get("since", 0) <= index < ended

def open_checkpoint(note, origin, keys, most=1):
    """Return size and root of a checkpoint with a signature by a key of the log, and at most so many in all."""
    text, blank, tail = note.decode().rpartition("\n\n")
    lines, signed = text.split("\n"), re.findall(r"\u2014 ([^\s+]+) (\S+)\n", tail)
    need(blank and re.fullmatch(r"(\u2014 [^\s+]+ \S+\n)+", tail) and len(signed) <= most, "not a checkpoint")
    need(len(lines) == 3 and lines[0] == origin and re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]), "not of this log")
    size, found = int(lines[1]), unbase64(lines[2])
    for key, signature in [(key, unbase64(text)) for key in keys.values() for name, text in signed if name == origin]:
        identity = sha256(origin.encode() + b"\n\x01" + bytes.fromhex(key["public"]))[:4]
        if signature[:4] == identity and signs(key, "checkpoint", max(size - 1, 0)):
            public(key).verify(signature[4:], f"{text}\n".encode())
            return size, found
    raise ValueError("no key of the log signed the checkpoint")

def verify(tree, trust, schemas, merge_request=None):
    """Return what is broken, and what is missing from the chains of merge requests, each as a list of sentences."""
    paths, entries, faults, missing = sorted(filter(PATH.fullmatch, tree)), [], [], []
    keys = {keyid: dict(key) for keyid, key in trust["keys"].items()}
    for path in paths:
        try:
            entries.append(read_statement(path, tree[path], keys, schemas))
        except PROBLEMS as error:
            faults.append(f"{path}: {error or 'an invalid signature'}")
    first = {keyid: entry.index for entry in reversed(entries) for keyid in entry.signers}
    for keyid, old in [(keyid, keys.get(key.get("replaces"))) for keyid, key in keys.items() if keyid in first]:
        if old:
            old["until"] = min(first[keyid], first[keyid] if old.get("until") is None else old["until"])
    entries = [e for e in entries if all(signs(keys[keyid], e.kind, e.index) for keyid in e.signers)]  # others are void
    faults += ["two statements have one key"] * (len({entry.p["key"] for entry in entries}) < len(entries))
    faults += [f"{path} is not statement {place}" for place, path in enumerate(paths) if int(path[11:19]) != place]
    log = [b"sha256:" + sha256(tree[path]).hex().encode() for path in paths]
    leaves = [sha256(b"\x00" + entry) for entry in log]
    expected, found = layout(log, leaves), {path: tree[path] for path in tree if path not in {*paths, "checkpoint"}}
    faults += [f"{path} is not of this log" for path in {*expected, *found} if expected.get(path) != found.get(path)]
    try:
        need(open_checkpoint(tree["checkpoint"], trust["origin"], keys) == (len(leaves), root(leaves)), "another log's")
        pins = [(trust["pinned"]["size"], bytes.fromhex(trust["pinned"]["root"]))] if trust.get("pinned") else []
        kept = trust.get("previous_checkpoint")
        pins += [open_checkpoint(kept.encode(), trust["origin"], keys, 64)] if kept else []
        need(all(n <= len(leaves) and root(leaves[:n]) == old for n, old in pins), "the log continues no older one")
    except PROBLEMS as error:
        faults.append(f"checkpoint: {error or 'an invalid signature'}")
    named = {entry.p["merge_request"] for entry in entries if entry.p.get("merge_request") is not None}
    for number in sorted(named) if merge_request is None else [merge_request]:
        for all_found, of_chain in zip((faults, missing), follow(entries, number, trust), strict=True):
            all_found += [f"!{number}: {what}" for what in of_chain]
    return faults, missing

def work(e): return e.p["project"], e.p["issue"]
class Chain:
    def __init__(self, entries, number, trust):
        own = [e for e in entries if e.p.get("merge_request") == number]
        self.mine = [e for e in entries if e in own or e.p.get("merge_request", 0) is None
                     or (own and e.kind in ("claim", "attempt") and work(e) == work(own[0]))]
        self.own, self.merge, self.simulated = own, last(self.some("merge")), trust["simulated_approvals"]
        self.agents, self.roles = {n.casefold() for n in trust["agent_accounts"]}, trust.get("separation", "apart")
        latest, self.end = self.merge or last(self.some("verdict")), self.merge.index if self.merge else len(entries)
        self.head, self.commit = latest and latest.p["head"], self.merge and self.merge.p["merge_commit"]
        self.hand = [] if self.some("claim") else self.some("proposal")
        self.plans = {e.p["stack"]: e for e in self.some("plan", commit=self.commit)}
        self.applies = [e for e in self.some("apply") if e.p["result"] != "refused"]
    def some(self, kind, like=None, **values):
        values.update({name: like.p[name] for name in ("commit", "manifest", "plan")} if like else {})
        return [e for e in self.mine if e.kind == kind and all(e.p[name] == value for name, value in values.items())]
    def plan_of(self, e):
        return last([p for p in self.some("plan", e) if p.index < e.index and e.p["commit"] == self.commit])
    def proof_of(self, e):
        return last([p for p in self.some("proof", e, job=e.p["job"]) if p.index > e.index])
    def forbidden(self, e):
        name, said, simulated = e.p["approver"].casefold(), e.p["approval_type"], ["simulated"] * self.simulated
        own = name in [one.p["author"].casefold() for one in self.hand]
        right = ["own", "human"] if self.roles == "none" else ["own" if own else "human"]
        return [f"statement {e.index} is by no person"] * (name in self.agents or said not in right + simulated)
    def approved(self, scope, relied, heads, plan, end, policy=None):
        def fits(e): return e.p["head"] in heads and e.p["plan"] == plan and policy in (None, e.p["policy"])
        found = [self.forbidden(e) or [f"statement {e.index} approves something else"] * (not fits(e) or e.index > end)
                 for e in self.some("approval", scope=scope)]
        faults = [] if [] in found else [*found, [f"an approval to {scope}"]][-1 - bool(found)]
        return Link(True, faults) if relied or not faults else Link(False, [], [f"an approval to {scope}"])
    def done(self, stack, e):
        if e.p["result"] != "unknown" or not (proof := self.proof_of(e)):
            return e.p["result"] == "applied" and e.p["replan_empty"]
        new = {name: proof.p[f"new_{name}"] for name in ("manifest", "plan", "pipeline")}
        planned = [p for p in self.some("plan", commit=self.commit, stack=stack, **new) if p.index < proof.index]
        return planned and proof.p["serial_now"] > proof.p["serial_before"]
    def made(self, stack): return [e for e in self.applies if self.plan_of(e) and self.plan_of(e).p["stack"] == stack]
    def stage(self, stack):
        made, deploy, heads = self.made(stack), last(self.some("deploy", environment=stack)), {self.head, self.commit}
        pairs = [(self.plan_of(e), e.index) for e in made] or [(self.plans[stack], 1 << 63)]
        asked = [self.approved("deploy", made, heads, plan.p["plan"], end)
                 for plan, end in pairs if plan.p["approvals"] and self.roles != "none"]
        faults = [text for one in asked for text in one.faults]
        faults += [f"the apply of {stack} did not end well"] if made and not self.done(stack, made[-1]) else []
        missing = [] if made else [what for one in asked for what in one.missing] + [f"the apply of {stack}"]
        yield Link(bool(made or any(one.reached for one in asked)), faults, missing)
        late, what = made and deploy and deploy.index < made[-1].index, [f"a good deploy to {stack}"]
        good = deploy and deploy.p["commit"] == self.commit and deploy.p["verified"] and not late
        yield Link(bool(deploy), what if deploy and not good else [], [] if deploy else what)
    def links(self):
        def link(reached, missing, *faults): return Link(bool(reached), list(faults), [] if reached else missing)
        merge, agents = self.merge, self.agents if self.roles == "apart" else ()
        plans = {e.p["stack"]: e.p["plan"] for e in self.some("plan", commit=self.head) if e.index < self.end}
        plan = f"sha256:{sha256(canonical(plans)).hex()}" if plans else None
        verdict = last([e for e in self.some("verdict", head=self.head) if e.index < self.end])
        passed, policy = verdict and verdict.p["result"] == "passed", verdict and verdict.p["policy"]
        sessions, proven = {e.p["session"] for e in self.some("claim")}, [self.proof_of(e) for e in self.applies]
        bad = merge and (merge.p["merged_by"].casefold() in agents or len(self.some("merge")) > 1)
        beside = [e for e in self.applies if not self.plan_of(e)] + [p for p in self.some("proof") if p not in proven]
        beside += [e for e in self.some("deploy") if e.p["environment"] not in self.plans]
        mine = last([e for e in self.hand if e.p["head"] == self.head and e.index < self.end])
        by = {n.casefold() for n in [mine.p["author"], *mine.p["pushers"]]} if mine else set()
        alien = mine and (not mine.p["pushers"] or by & (self.agents if self.roles != "none" else set()))
        yield link(mine or sessions, ["a claim"], *["no person proposed it"] * bool(alien))
        if not self.hand: yield link([e for e in self.some("attempt") if e.p["session"] in sessions], ["an attempt"])
        over = bool(verdict and merge)
        yield link(passed or over, ["a passed verdict"], *["the verdict is failed"] * (over and not passed))
        if self.roles != "none": yield self.approved("merge", merge, {self.head}, plan, self.end, policy)
        yield link(merge, ["the merge"], *["the merge is not allowed"] * bool(bad))
        yield link(self.plans or self.some("unchanged", commit=self.commit), ["a plan, its approval, apply and deploy"])
        order = sorted(self.plans, key=lambda name: (self.plans[name].p["approvals"] > 0, not self.made(name), name))
        yield from (part for stack in order for part in self.stage(stack))
        yield link(beside, [], *(f"statement {e.index} was not planned" for e in beside))

def follow(entries, number, trust):
    """Return what is broken in a merge request's chain from claim to deploy, and what is missing at its end."""
    chain = Chain(entries, number, trust)
    if not chain.own: return [], ["any statement"]
    links = list(chain.links())
    reached = max((place for place, one in enumerate(links) if one.reached), default=0)
    faults = [f"statement {e.index} is of another issue" for e in chain.own if work(e) != work(chain.own[0])]
    faults += sum([chain.forbidden(e) for e in chain.some("approval")] + [one.faults for one in links], [])
    faults += [f"missing: {what}" for one in links[:reached] for what in one.missing]
    return faults, [what for one in links[reached:] for what in one.missing]

if __name__ == "__main__":
    folder, (trust, schemas) = Path(sys.argv[1]), (json.loads(Path(name).read_bytes()) for name in sys.argv[2:4])
    need("origin" in trust and trust["separation"] in ["apart", "two accounts", "none"], "not a trust root")
    files = [path for path in folder.rglob("*") if folder / ".git" not in [path, *path.parents]]
    tree = {path.relative_to(folder).as_posix(): read(path) for path in files if path.is_symlink() or not path.is_dir()}
    faults, missing = verify(tree, trust, schemas, *(int(number.lstrip("!")) for number in sys.argv[4:]))
    print(*(f"FAILED {what}" for what in faults), *(f"still missing: {what}" for what in missing), sep="\n")
    print(f"{len(list(filter(PATH.fullmatch, tree)))} statements, {len(faults)} findings")
    sys.exit(bool(faults or (missing and sys.argv[4:])))
