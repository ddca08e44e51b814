"""Reads a compose file: the service that is built from this repository, and what stands beside it. Pure.

Source: docs.docker.com, Compose file reference (services: command, ports, healthcheck).
"""

from factory.apps.detection import images, yaml_nodes
from factory.apps.detection.reading import Notes, Reading, short
from factory.errors import InvalidInput
from factory.system.strict_yaml import Node

_HERE = {"", ".", "./", "${PWD}"}


def read(path: str, text: str) -> Reading:
    """Return what a compose file says; raises ``InvalidInput`` if it is not one."""
    notes = Notes(path)
    services = yaml_nodes.pairs(yaml_nodes.get(yaml_nodes.document(path, text), "services"))
    if not services:
        raise InvalidInput(f"{path}: it has no services")
    built = {name: node for name, node in services.items() if yaml_nodes.get(node, "build")}
    here = {name: node for name, node in built.items() if _context(node) in _HERE}
    named = here or built or {name: node for name, node in services.items() if _image(node) in {"python", "node", "uv"}}
    served = {name: node for name, node in named.items() if yaml_nodes.get(node, "ports")} or named
    name = next(iter(served), "")
    if len(served) > 1:
        notes.doubt(f"services {', '.join(served)} may be the app; {name} is taken")
    for other in (other for other in services if other not in served):
        image = yaml_nodes.text(yaml_nodes.get(services[other], "image"))
        notes.doubt(f"the service {other}{f' ({short(image)})' if image else ''} is not part of a release")
    if name:
        _service(notes, services[name])
    return notes.reading()


def _context(node: Node) -> str:
    build = yaml_nodes.get(node, "build")
    return yaml_nodes.text(build) or yaml_nodes.text(yaml_nodes.get(build, "context"))


def _image(node: Node) -> str:
    return images.name_of(yaml_nodes.text(yaml_nodes.get(node, "image")))


def _service(notes: Notes, node: Node) -> None:
    image = yaml_nodes.text(yaml_nodes.get(node, "image"))
    if image and yaml_nodes.get(node, "build") is None:
        images.note(notes, image)
    if yaml_nodes.get(node, "entrypoint"):
        notes.doubt("its entrypoint is not read")
    if other := yaml_nodes.text(yaml_nodes.get(node, "build", "dockerfile")).removesuffix("Dockerfile"):
        notes.doubt(f"its Dockerfile is not read: {short(other)}")
    _command(notes, yaml_nodes.get(node, "command"))
    _ports(notes, node)
    check = yaml_nodes.get(node, "healthcheck", "test")
    if check is not None:
        words = list(yaml_nodes.texts(check))
        line = yaml_nodes.text(check) or " ".join(words[1:] if words[:1] in (["CMD"], ["CMD-SHELL"]) else words)
        if line != "NONE":
            notes.health(line.replace("$$", "$"))


def _command(notes: Notes, node: Node | None) -> None:
    if node is None:
        return
    if node.text is not None:
        notes.command("run", node.text.replace("$$", "$"), named="command")
    else:
        notes.words("run", tuple(word.replace("$$", "$") for word in yaml_nodes.texts(node)), named="command")


def _ports(notes: Notes, node: Node) -> None:
    environment = yaml_nodes.get(node, "environment")
    listed = dict(line.partition("=")[::2] for line in yaml_nodes.texts(environment))
    given = yaml_nodes.text(yaml_nodes.get(environment, "PORT")) or listed.get("PORT", "")
    ports = yaml_nodes.get(node, "ports")
    found = [given] if given else []
    for item in ports.items if ports else ():
        text = item.text if item.text is not None else yaml_nodes.text(yaml_nodes.get(item, "target"))
        found.append(text.rpartition(":")[2].partition("/")[0])
    notes.ports(found)
