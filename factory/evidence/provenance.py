"""A build as SLSA provenance, and the bill of materials that follows from it. Pure.

Sources: https://slsa.dev/spec/v1.2/build-provenance (predicate v1), https://cyclonedx.org/docs/1.6/json/, and
https://github.com/package-url/purl-spec for names of packages.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from factory.evidence.transparency_log import Entry
from factory.system import canonical

BUILD_TYPE = "urn:factory:build:pipeline-job:v1"
_EXACT = "=="


@dataclass(frozen=True)
class Package:
    """A package that a file of the app names, with the version as written there; ``pinned`` is one exact version."""

    ecosystem: str
    name: str
    version: str
    pinned: bool

    @property
    def purl(self) -> str:
        """The package URL, with the version if the file names exactly one."""
        name = "/".join(quote(part, safe="") for part in self.name.split("/"))
        exact = self.version.removeprefix(_EXACT) if self.pinned else ""
        return f"pkg:{self.ecosystem}/{name}" + (f"@{quote(exact, safe='')}" if exact else "")


@dataclass(frozen=True)
class Build:
    """One app's archive, and the job that built it; ``server`` and ``source`` are GitLab's and the project's URLs."""

    app: str
    archive: str
    commit: str
    ref: str
    server: str
    source: str
    pipeline: int
    job: int
    packages: tuple[Package, ...]

    def subjects(self) -> Mapping[str, str]:
        """Return the subject: the archive."""
        return {f"{self.app}.tar.gz": self.archive}

    def predicate(self) -> Mapping[str, object]:
        """Return the fields of SLSA's predicate, and the digests that name the build."""
        source = {"uri": f"git+{self.source}@{self.ref}", "digest": {"gitCommit": self.commit}}
        names = {item.purl: f"{item.name} {item.version}".strip() for item in self.packages}
        packages = [{"name": name, "uri": uri} for uri, name in sorted(names.items())]
        return {
            "commit": self.commit,
            "archive": self.archive,
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"app": self.app, "source": self.source, "ref": self.ref},
                "internalParameters": {"pipeline": self.pipeline, "job": self.job},
                "resolvedDependencies": [source, *packages],
            },
            "runDetails": {
                "builder": {"id": self.server},
                "metadata": {"invocationId": f"{self.source}/-/jobs/{self.job}"},
            },
        }


def name_of(entry: Entry) -> str:
    """Return the name of a build, for files about it: the app and the commit."""
    app = entry.predicate["buildDefinition"]["externalParameters"]["app"]
    return f"{quote(app, safe='')}-{entry.predicate['commit'][:12]}"


def packages_of(entry: Entry) -> tuple[str, ...]:
    """Return the package URLs that a build names."""
    return tuple(item["uri"] for item in _packages(entry.predicate))


def bill_of_materials(entry: Entry) -> bytes:
    """Return the CycloneDX 1.6 document of a build: the archive, and the packages that the app's files name."""
    value = entry.predicate
    app, archive = value["buildDefinition"]["externalParameters"]["app"], value["archive"]
    components = [_component(item["name"], item["uri"]) for item in _packages(value)]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, archive)}",
        "version": 1,
        "metadata": {
            "timestamp": value["time"],
            "component": {
                "type": "application",
                "bom-ref": archive,
                "name": app,
                "version": value["commit"],
                "hashes": [{"alg": "SHA-256", "content": archive.removeprefix("sha256:")}],
            },
        },
        "components": components,
        "dependencies": [{"ref": archive, "dependsOn": [item["bom-ref"] for item in components]}],
    }
    return canonical.encode(document)


def _packages(predicate: Mapping[str, object]) -> Iterable[Mapping[str, str]]:
    definition = predicate["buildDefinition"]
    assert isinstance(definition, Mapping)  # noqa: S101 - the statement's form is checked when it is read
    return [item for item in definition["resolvedDependencies"] if "name" in item]


def _component(name: str, purl: str) -> dict[str, object]:
    _, _, version = purl.partition("@")
    found: dict[str, object] = {"type": "library", "bom-ref": purl, "name": name.partition(" ")[0], "purl": purl}
    return {**found, "version": version} if version else found
