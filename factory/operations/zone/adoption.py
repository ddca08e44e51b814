"""Decides how the roots of terraform/live adopt a zone that exists: pure, from what was read to the changed files."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from factory.errors import Conflict, InvalidInput, Refused
from factory.model.cloudflare import (
    ADDRESS_TYPES,
    CUSTOM,
    RATE_LIMIT,
    SETTINGS,
    Record,
    Rule,
    Ruleset,
    ZoneContents,
    beyond_plan,
    visible,
)
from factory.policies.apps import App
from factory.reports.markdown import count
from factory.system import hcl
from factory.terraform.stacks import LIVE

# The file of a root that says which zone it has, and the file of the objects that it takes over.
ZONE_FILE, IMPORTS_FILE = "zone.tf", "imports.tf"
_RULESETS = {CUSTOM: "custom", RATE_LIMIT: "rate_limit"}
# What the module waf makes of an app's requests per minute, in seconds.
_PERIOD = _TIMEOUT = 60


@dataclass(frozen=True)
class Import:
    """An object of the zone that becomes the root's own: its address, its import id, what it is, and for which app.

    Without ``app`` it is for any of them: a root that carries no app has none of these objects.
    """

    address: str
    id: str
    what: str
    app: str = ""


@dataclass(frozen=True)
class RootAdoption:
    """How one root adopts the zone; ``left_out`` says why a phase has no rules of this root, by phase."""

    environment: str
    tunnel: str
    imports: tuple[Import, ...]
    left_out: Mapping[str, str]
    adopted_before: bool = False


@dataclass(frozen=True)
class Adoption:
    """What was found in the zone, what each root will have of it, and the changed files by path."""

    zone: str
    name: str
    account: str
    plan: str
    records: Mapping[str, int]
    rules: Mapping[str, int]
    settings: int
    roots: tuple[RootAdoption, ...]
    changes: Mapping[str, bytes]


def decide(
    found: ZoneContents,
    apps: Mapping[str, App],
    roots: Mapping[str, str],
    environments: Collection[str],
    *,
    owner: str,
) -> Adoption:
    """Return the adoption of a zone by the roots of ``environments``.

    ``roots`` has the text of each root's zone.tf; ``owner`` is the environment whose root has the zone's rules. Raises
    ``Refused`` if a root creates this very zone, ``Conflict`` for a root with another zone or a hostname with several
    records, and ``InvalidInput`` for an app whose hostname is not in the zone.
    """
    for environment, text in roots.items():
        if _created(text) == found.zone.name:
            raise Refused(
                f"{LIVE}/{environment} creates the zone {found.zone.name} itself, so there is nothing to adopt",
                hint="Name a zone that exists without this repository.",
            )
    decided = tuple(_root(found, apps, roots, name, owner=owner) for name in sorted(environments))
    changes = {
        f"{LIVE}/{item.environment}/{name}": content
        for item in decided
        if not item.adopted_before
        for name, content in _files(found, item).items()
    }
    return Adoption(
        zone=found.zone.id,
        name=found.zone.name,
        account=found.zone.account,
        plan=found.zone.plan,
        records=dict(sorted(Counter(record.type for record in found.records).items())),
        rules={item.phase: len(item.rules) for item in found.rulesets if item.rules},
        settings=len(found.settings),
        roots=decided,
        changes=changes,
    )


def _root(
    found: ZoneContents, apps: Mapping[str, App], roots: Mapping[str, str], environment: str, *, owner: str
) -> RootAdoption:
    zone, tunnel = found.zone, f"{found.zone.name}-{environment}"
    if environment not in roots:
        raise InvalidInput(
            f"{LIVE}/{environment}/{ZONE_FILE} does not exist",
            hint="Name a folder of terraform/live; `factory upgrade` brings this file to an older root.",
        )
    before = _adopted(roots[environment])
    if before == zone.id:
        return RootAdoption(environment, tunnel, (), {}, adopted_before=True)
    if before or not _created(roots[environment]):
        raise Conflict(
            f"{LIVE}/{environment}/{ZONE_FILE} " + (f"has the zone {before}" if before else "was changed by hand"),
            hint=f"Adopt {zone.name} by hand, as docs/terraform.md describes.",
        )
    hostnames = _hostnames(apps, environment, zone.name)
    imports = [item for name, hostname in hostnames.items() for item in _record(found, name, hostname)]
    left_out: dict[str, str] = {}
    for phase in SETTINGS:
        live = next((item for item in found.rulesets if item.phase == phase), None)
        reason = f"the rules of this zone are those of {owner}" if environment != owner else ""
        reason = reason or _blocked(phase, live, found.zone.plan, hostnames)
        if reason:
            left_out[phase] = reason
        elif live is not None:
            address = f"module.stack.module.waf.cloudflare_ruleset.{_RULESETS[phase]}[0]"
            imports.append(Import(address, f"zones/{zone.id}/{live.id}", f"the empty ruleset of {phase}"))
    return RootAdoption(environment, tunnel, tuple(imports), left_out)


def _hostnames(apps: Mapping[str, App], environment: str, zone: str) -> dict[str, str]:
    found = {
        name: app.environments[environment].hostname for name, app in apps.items() if environment in app.environments
    }
    for name, hostname in found.items():
        if not hostname.endswith(f".{zone}"):
            raise InvalidInput(
                f"apps/{name}/app.yml: the hostname {hostname} in {environment} is not below {zone}",
                hint=f"Set the hostnames first, such as www.{zone} and www-staging.{zone}, and commit them.",
            )
    return found


def _record(found: ZoneContents, name: str, hostname: str) -> tuple[Import, ...]:
    """Return the import of the record that leads an app's hostname to a server, if there is one."""
    there = [item for item in found.records if item.name == hostname and item.type in ADDRESS_TYPES | {"NS"}]
    if len(there) > 1 or any(item.type == "NS" for item in there):
        raise Conflict(
            f"{hostname} has {len(there)} records: {', '.join(_shown(item) for item in there[:5])}",
            hint="It must lead only to the tunnel: keep at most one A, AAAA or CNAME record, and run this again.",
        )
    address = f'module.stack.module.dns.cloudflare_dns_record.this["{name}"]'
    return tuple(Import(address, f"{found.zone.id}/{item.id}", _shown(item), name) for item in there)


def _shown(record: Record) -> str:
    return f"{record.name} {record.type} {visible(record.content, 80)}"


def _blocked(phase: str, live: Ruleset | None, plan: str, hostnames: Mapping[str, str]) -> str:
    """Return why a root can have no rules in a phase; empty if it can."""
    if live is not None and live.rules:
        return (
            f"the zone has {count(len(live.rules), 'rule')} of others there, and a zone has one ruleset for each phase"
        )
    if phase != RATE_LIMIT:
        return ""
    limits = tuple(
        Rule("", name, "", f'(http.host eq "{hostname}")', _PERIOD, _TIMEOUT) for name, hostname in hostnames.items()
    )
    beyond = beyond_plan(plan, limits)
    return f"Cloudflare's plan {plan} cannot do it: {beyond[0]}" if beyond else ""


def _created(text: str) -> str:
    """Return the domain of the zone that a zone.tf creates; empty if it creates none."""
    blocks = hcl.parse(text)
    creates = any((item.kind, item.labels) == ("module", ("zone",)) for item in blocks)
    names = [item.body.get("default") for item in blocks if (item.kind, item.labels) == ("variable", ("zone",))]
    return str(names[0]) if creates and names else ""


def _adopted(text: str) -> str:
    """Return the id of the zone that a zone.tf reads; empty if it reads none."""
    wanted = ("data", ("cloudflare_zone", "this"))
    return next((str(item.body.get("zone_id")) for item in hcl.parse(text) if (item.kind, item.labels) == wanted), "")


def _files(found: ZoneContents, root: RootAdoption) -> dict[str, bytes]:
    zone = found.zone
    text = _ZONE_TF.format(
        id=zone.id, name=zone.name, tunnel=root.tunnel, custom=_switch(root, CUSTOM), limited=_switch(root, RATE_LIMIT)
    )
    imports = "\n".join(
        _IMPORT_TF.format(
            what=re.sub(r"[^ -~]", "?", item.what), address=item.address, id=item.id, carried=_carried(item.app)
        )
        for item in root.imports
    )
    return {ZONE_FILE: text.encode()} | ({IMPORTS_FILE: (_IMPORTS_TF + imports).encode()} if imports else {})


def _carried(app: str) -> str:
    return f'contains(keys(var.apps), "{app}")' if app else "length(var.apps) > 0"


def _switch(root: RootAdoption, phase: str) -> str:
    reason = root.left_out.get(phase)
    return f"false # {re.sub(r'[^ -~]', '?', reason)}" if reason else "true"


_ZONE_TF = """\
# This zone existed before. Terraform only reads it, and owns the records, rules and tunnel of this environment.
data "cloudflare_zone" "this" {{
  zone_id = "{id}"

  lifecycle {{
    postcondition {{
      condition     = self.name == "{name}" && self.account.id == var.account_id
      error_message = "The zone must be {name}, in the account of the variable account_id."
    }}
  }}
}}

locals {{
  zone = {{
    id           = data.cloudflare_zone.this.id
    name         = data.cloudflare_zone.this.name
    name_servers = data.cloudflare_zone.this.name_servers
    # The tunnels of environments that share the zone differ in their names, and their hostnames in app.yml.
    tunnel = "{tunnel}"
    # Rules apply only to the hostnames of this environment's apps. A zone has one ruleset for each phase.
    shared       = true
    custom_rules = {custom}
    rate_limited = {limited}
    # Zone settings by id. Those that are not listed keep their values.
    settings = {{}}
  }}
}}
"""
_IMPORTS_TF = """\
# Objects of the zone that existed already, and become this root's own with the first plan that carries apps. Once they
# are applied, this file has no effect.
"""
_IMPORT_TF = """\
# {what}
import {{
  for_each = {carried} ? ["{id}"] : []
  to       = {address}
  id       = each.value
}}
"""
