"""Checks Terraform configuration before terraform reads it, and rejects code that could run programs or read files.

The configuration of a merge request is planned with a read token. An unlisted provider, a provisioner, an external
data source or a function that reads files could reach that token or the machine. Only the blocks, providers and
settings listed here are allowed. Text that the parser cannot read is rejected.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory.errors import InvalidInput, NotFound, Refused
from factory.system import files, hcl

# Top-level blocks that a root or module may have; the settings of `terraform` and `provider` are restricted below.
_BLOCKS = frozenset(
    {
        "terraform",
        "provider",
        "resource",
        "data",
        "variable",
        "output",
        "locals",
        "module",
        "moved",
        "removed",
        "import",
    }
)
_TERRAFORM = frozenset({"required_version", "required_providers", "backend"})
# Functions that read the machine, build code from text or unmark a sensitive value, and the functions of providers
# (Terraform docs: built-in functions). White space and comments may precede the parenthesis.
_FUNCTION = re.compile(
    r"\b(?:(?:template)?file\w*|abspath|pathexpand|templatestring|nonsensitive|provider::[\w:]+)\s*+\("
)
_RUNS = re.compile(r"\b(?:provisioner|connection)\b")
# Blocks with two labels, the first of which is a type of a provider, and the names of these blocks in messages.
_TYPED = {"resource": "resource", "data": "data source"}
_LABELS = 2
# Blocks that name resources, and the settings in which they do (Terraform docs: import, moved and removed blocks).
_ADDRESSED = {"import": ("to",), "moved": ("from", "to"), "removed": ("from",)}
_ADDRESS = re.compile(
    r"(?:module\.[\w-]+(?:\[[^\]]*\])?(?:\.|$))*(?:(?P<type>[A-Za-z_][\w-]*)\.[\w-]+(?:\[[^\]]*\])?)?"
)
_BUILT_IN = "terraform_data"
_SUFFIX = ".tf"
LOCK_FILE = ".terraform.lock.hcl"
_TESTS = ".tftest.hcl"
_LARGEST = 1_000_000
_MODULES = "terraform/modules"
# A version constraint that allows a range (Terraform docs: Version constraints).
_RANGE = re.compile(r"(?:~>|>=|<=|>|<|!=)[0-9.]+(?:,(?:~>|>=|<=|>|<|!=)[0-9.]+)*")


@dataclass(frozen=True)
class Source:
    """The source of a stack: the folders of its root and of every module that it uses, and all their files."""

    root: str
    folders: tuple[str, ...]
    files: tuple[tuple[str, bytes], ...]


def check_source(tree: Path, root: str, providers: Mapping[str, str]) -> Source:
    """Return the checked source of a root, such as ``terraform/live/production``, below ``tree``.

    ``providers`` maps each allowed source to the version that the root must pin; a module may allow a range. Raises
    ``NotFound`` if the root does not exist, and ``Refused`` naming the file and the reason.
    """
    found: dict[str, bytes] = {}
    required: dict[str, set[str]] = {}
    waiting, seen, backends = [root], [root], 0
    while waiting:
        folder = waiting.pop()
        for name, data in _files(tree, folder):
            found[name] = data
            blocks = _check_text(name, data, providers, pinned=folder == root)
            required.setdefault(folder, set()).update(_required(blocks))
            backends += folder == root and sum("backend" in each.body for each in blocks if each.kind == "terraform")
            for module in (_module(name, each.body, folder) for each in blocks if each.kind == "module"):
                if module not in seen:
                    seen.append(module)
                    waiting.append(module)
    if backends != 1:
        # Without GitLab's backend the state would be lost at the end of the job.
        raise Refused(f'{root}: {backends} backends; there must be exactly one: `backend "http" {{}}`')
    if loose := sorted({source for sources in required.values() for source in sources} - required[root]):
        raise Refused(f"{root} does not pin the version of the provider {loose[0]}, which one of its modules requires")
    return Source(root, tuple(sorted(seen)), tuple(sorted(found.items())))


def _required(blocks: Iterable[hcl.Block]) -> Iterator[str]:
    """Yield the sources of the providers that blocks require."""
    for block in blocks:
        for required in block.body.get("required_providers", ()) if block.kind == "terraform" else ():
            yield from (requirement["source"] for requirement in required.values())


def _files(tree: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a folder that terraform would read; raises ``Refused`` for any file that is not allowed."""
    place = tree / folder
    if (
        not place.is_dir()
        or place.is_symlink()
        or any(part.is_symlink() for part in place.parents if tree in part.parents)
    ):
        raise NotFound(
            f"{folder} is not a folder of this repository",
            hint="A root is a folder of terraform/live, a module one of terraform/modules: correct the name.",
        )
    read = 0
    for path in sorted(place.iterdir()):
        name = f"{folder}/{path.name}"
        if path.is_symlink():
            raise _refused(name, "a link")
        if path.is_dir():
            if path.name not in {"tests", ".terraform"}:
                raise _refused(name, "a folder in a root or module")
            continue
        if path.name.endswith(_TESTS) or path.name == LOCK_FILE:
            continue
        if path.suffix != _SUFFIX:
            raise _refused(name, "a file that is not .tf")
        try:
            data, more = files.read_untrusted(path, _LARGEST)
        except Refused as error:
            raise _refused(name, "something other than a regular file") from error
        if more:
            raise _refused(name, "a file of more than a megabyte")
        read += 1
        yield name, data
    if not read:
        raise NotFound(f"{folder} has no Terraform configuration", hint="Add its .tf files, or delete the folder.")


def _check_text(name: str, data: bytes, providers: Mapping[str, str], *, pinned: bool) -> tuple[hcl.Block, ...]:
    """Return the blocks of one file; raises ``Refused``. If ``pinned``, providers must have their exact version."""
    try:
        text = data.decode()
        blocks = hcl.parse(text)
        code = hcl.code(text)
    except UnicodeDecodeError as error:
        raise _refused(name, "text that is not UTF-8") from error
    except InvalidInput as error:
        raise Refused(f"{name}: {error}", hint="Format the file with `terraform fmt`.") from error
    if function := _FUNCTION.search(code):
        raise _refused(name, f"the function {function.group().split('(')[0].split()[0]}")
    if _RUNS.search(code):
        raise _refused(name, "a provisioner or connection")
    for block in blocks:
        if block.kind not in _BLOCKS:
            raise _refused(name, f"the block {block.kind!r}")
        if block.kind == "terraform":
            _check_settings(name, block.body, providers, pinned=pinned)
        elif block.kind == "provider":
            _check_provider(name, block, providers)
        elif block.kind in _TYPED:
            _check_type(name, block, providers)
        elif block.kind in _ADDRESSED:
            _check_addresses(name, block, providers)
    return blocks


def _check_settings(name: str, body: Mapping[str, Any], providers: Mapping[str, str], *, pinned: bool) -> None:
    for key, value in body.items():
        if key not in _TERRAFORM:
            raise _refused(name, f"the setting terraform.{key}")
        if key == "backend" and value != [{"http": {}}]:
            raise _refused(name, "a backend other than an empty `http` block")
        if key == "required_providers":
            for block in value:
                for local, requirement in block.items():
                    _check_source(name, local, requirement, providers, pinned=pinned)


def _check_source(name: str, local: str, requirement: Any, providers: Mapping[str, str], *, pinned: bool) -> None:
    source = requirement.get("source") if isinstance(requirement, Mapping) else None
    if not isinstance(source, str) or source not in providers:
        raise _refused(name, f"the provider {source or local!r}, which policies/terraform.yml does not list")
    version = str(requirement.get("version", "")).replace(" ", "")
    if version.removeprefix("=") != providers[source] and (pinned or not _RANGE.fullmatch(version)):
        raise _refused(name, f"the provider {source} in version {version or 'any'}, not {providers[source]}")
    if local != source.rpartition("/")[2]:
        raise _refused(name, f"the local name {local} for the provider {source}")
    if set(requirement) - {"source", "version", "configuration_aliases"}:
        raise _refused(name, f"an unknown setting of the provider {source}")


def _check_type(name: str, block: hcl.Block, providers: Mapping[str, str]) -> None:
    """Refuse types of unlisted providers: terraform would download such a provider because of the type's name."""
    if len(block.labels) != _LABELS:
        raise _refused(name, f"a {block.kind} with {len(block.labels)} labels")
    if not _known(block.labels[0], block.kind, providers):
        raise _refused(name, f"a {_TYPED[block.kind]} {block.labels[0]}")
    _check_named_provider(name, block, providers)


def _known(kind: str, block: str, providers: Mapping[str, str]) -> bool:
    known = tuple(f"{local}_" for local in _locals(providers))
    return kind.startswith(known) or (block, kind) == ("resource", _BUILT_IN)


def _check_named_provider(name: str, block: hcl.Block, providers: Mapping[str, str]) -> None:
    provider = block.body.get("provider")
    if provider is not None and str(provider).strip("${}").split(".")[0] not in _locals(providers):
        raise _refused(name, f"the provider {provider}")


def _check_addresses(name: str, block: hcl.Block, providers: Mapping[str, str]) -> None:
    """Refuse addresses of unlisted types in import, moved and removed: terraform downloads the type's provider."""
    for key in _ADDRESSED[block.kind]:
        address = str(block.body.get(key, "")).removeprefix("${").removesuffix("}")
        match = _ADDRESS.fullmatch(address)
        if address and (match is None or not _known(match["type"] or _BUILT_IN, "resource", providers)):
            raise _refused(name, f"{block.kind} of {address}")
    _check_named_provider(name, block, providers)


def _check_provider(name: str, block: hcl.Block, providers: Mapping[str, str]) -> None:
    if len(block.labels) != 1 or block.labels[0] not in _locals(providers):
        raise _refused(name, f"the provider {' '.join(block.labels)}")
    if settings := sorted(set(block.body) - {"alias"}):
        raise _refused(name, f"the provider setting {settings[0]} (the job sets address and token)")


def _module(name: str, body: Mapping[str, Any], folder: str) -> str:
    """Return the folder of a module; raises ``Refused`` if it is not below ``terraform/modules``."""
    source = body.get("source")
    if isinstance(source, str) and source.startswith(("./", "../")):
        parts = [*folder.split("/"), *source.split("/")]
        path: list[str] = []
        for part in parts:
            if part == ".." and path:
                path.pop()
            elif part not in {".", ""}:
                path.append(part)
        found = "/".join(path)
        if found.startswith(f"{_MODULES}/"):
            return found
    raise _refused(name, f"the module {source!r}, which is not one of {_MODULES}")


def _locals(providers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the local names of the allowed providers."""
    return tuple(source.rpartition("/")[2] for source in providers)


def _refused(name: str, what: str) -> Refused:
    return Refused(
        f"{name}: {what} is not allowed",
        hint="Remove it, or let a person change this check or policies/terraform.yml on main.",
    )
