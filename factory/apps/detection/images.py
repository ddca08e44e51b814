"""Reads which language's version the name of a container image stands for. Pure."""

import re

from factory.apps.detection.reading import Notes, short

_IMAGE = re.compile(r"(?:[^/\s]+/)*(?P<name>[A-Za-z0-9._-]+)(?::(?P<tag>[A-Za-z0-9_.-]+))?(?:@[A-Za-z0-9:]+)?")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?=$|[-_])")
# The images of uv name Python in their tag: `uv:python3.12-bookworm-slim`.
_UV = re.compile(r"(?:[\d.]+-)?python(\d+(?:\.\d+)*)(?=$|-)")
# Web servers, and the folders whose files they serve.
SITES = {"nginx": "/usr/share/nginx/html", "caddy": "/usr/share/caddy", "httpd": "/usr/local/apache2/htdocs"}


def name_of(image: str) -> str:
    """Return the last part of an image's name, without tag and digest; empty if it is not such a name."""
    found = _IMAGE.fullmatch(image)
    return found["name"] if found else ""


def note(notes: Notes, image: str) -> None:
    """Note the version of Python or Node that an image has."""
    if "$" in image:
        notes.doubt(f"the image {short(image)} has a variable without a value")
        return
    found = _IMAGE.fullmatch(image)
    if found is None or found["name"] not in {"python", "node", "uv"}:
        return
    name, tag = found["name"], found["tag"] or "latest"
    version = (_UV if name == "uv" else _VERSION).match(tag)
    if version is None:
        notes.doubt(f"the image {short(image)} names no version")
    elif name == "node":
        notes.add("node", version[1])
    else:
        notes.add("python", version[1])
