"""Labels of a project (docs: Labels API)."""

from factory.local_gitlab.projects import colors
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Page, Route
from factory.local_gitlab.serving.store import Document


def _list(call: Call) -> Page:
    return Page([_label(label) for label in call.store.all("label", project=call.project["id"])])


def _label(label: Document) -> Document:
    return api.public(label, "iid") | {
        "is_project_label": True,
        "subscribed": False,
        "text_color": colors.of_text_on(label["color"]),
    }


def _color(text: str) -> str:
    """Return a colour with six digits; raises 400 if it is not a colour."""
    color = colors.in_six_digits(text)
    if color is None:
        raise api.invalid({"color": ["must be a valid color code"]})
    return color


def _find(call: Call) -> Document:
    name = str(call.path.get("name") or call.params.get("label_id") or call.need("name"))
    labels = call.store.all("label", project=call.project["id"])
    return api.require(next((label for label in labels if name in {str(label["id"]), label["name"]}), None), "Label")


def _name(text: str) -> str:
    """Return a label's name; raises 400 for a comma, which separates labels in every other call (docs: Labels)."""
    if "," in text or not text.strip():
        raise api.invalid({"title": ["is invalid"]})
    return text


def _priority(call: Call) -> int | None:
    """Return the requested priority, of which 0 is the highest, or ``None``; raises 400 for a negative number."""
    value = call.params.get("priority")
    priority = None if value in (None, "") else api.as_int(value, "priority")
    if priority is not None and priority < 0:
        raise api.invalid({"priority": ["must be greater than or equal to 0"]})
    return priority


def _create(call: Call) -> api.Answer:
    name = _name(str(call.need("name")))
    if call.store.find("label", name, project=call.project["id"]):
        raise api.conflict("Label already exists")
    document: Document = {
        "name": name,
        "color": _color(str(call.need("color"))),
        "description": call.text("description"),
    }
    document["priority"] = _priority(call)
    return api.Answer(_label(call.store.add("label", document, project=call.project["id"], name=name)), 201)


def _show(call: Call) -> Document:
    return _label(_find(call))


def _change(call: Call) -> Document:
    label = _find(call)
    label["color"] = _color(call.text("color") or label["color"])
    if "description" in call.params:
        label["description"] = call.text("description")
    if "priority" in call.params:
        label["priority"] = _priority(call)
    if call.params.get("new_name"):
        label["name"] = _name(str(call.params["new_name"]))
        call.store.rename("label", label, label["name"])
    return _label(call.store.save("label", label))


def _delete(call: Call) -> None:
    call.store.delete("label", _find(call))


ROUTES = (
    Route("GET", "/projects/{id}/labels", _list),
    Route("POST", "/projects/{id}/labels", _create, DEVELOPER),
    Route("PUT", "/projects/{id}/labels", _change, DEVELOPER),
    Route("GET", "/projects/{id}/labels/{name}", _show),
    Route("PUT", "/projects/{id}/labels/{name}", _change, DEVELOPER),
    Route("DELETE", "/projects/{id}/labels/{name}", _delete, DEVELOPER),
)
