"""What every resource of the provider double does: plan, create, read, update, delete, import."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

from tf.schema import Schema

from factory.errors import InvalidInput, NotFound
from factory.local_cloudflare.provider.client import Cloudflare, attempt
from factory.local_cloudflare.provider.types import UNKNOWN, Attribute, Object, forbidden

State = dict[str, Any]


class Resource:
    """One resource type: the library makes an instance for every call that Terraform sends.

    A subclass gives name, attributes and paths; the rest is the same for all: an object is created by POST on its
    collection, and read, changed and deleted by its own path.
    """

    name: ClassVar[str]
    attributes: ClassVar[tuple[Attribute, ...]]
    import_form: ClassVar[tuple[str, ...]]
    update_method: ClassVar[str] = "PATCH"

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    @classmethod
    def get_name(cls) -> str:
        """Return the type's name without the provider's prefix."""
        return cls.name

    @classmethod
    def get_schema(cls) -> Any:
        """Return the schema."""
        return Schema(attributes=list(cls.attributes), version=0)

    def collection(self, state: State) -> str:
        """Return the path that creates one."""
        raise NotImplementedError

    def item(self, state: State) -> str:
        """Return the path of one."""
        return f"{self.collection(state)}/{state['id']}"

    def request_body(self, planned: State) -> State:
        """Return what is sent: the attributes that a person may set and that have a value."""
        return {
            each.name: _set_only(planned[each.name])
            for each in self.attributes
            if (each.required or each.optional) and planned.get(each.name) not in (None, UNKNOWN)
        }

    def from_result(self, result: Mapping[str, Any], known: State) -> State:
        """Return the state that an answer of the API means; ``known`` gives what the API never says."""
        return {each.name: self._value(each, result, known) for each in self.attributes}

    def validate(self, diags: Any, _type_name: str, config: State) -> None:
        """Refuse values that the API would refuse, at plan time."""
        for attribute, reason in forbidden(self.attributes, config):
            diags.add_error(f"Invalid {attribute}", reason, path=[attribute])

    def plan(self, ctx: Any, _current: State | None, planned: State) -> State:
        """Mark what the server will change as unknown, where anything changes at all."""
        if not ctx.changed_fields:
            return planned
        return planned | {each.name: UNKNOWN for each in self.attributes if each.volatile}

    def create(self, ctx: Any, planned: State) -> State | None:
        """Create the object."""

        def post() -> State:
            return self.from_result(
                self._client.send("POST", self.collection(planned), self.request_body(planned)), planned
            )

        return self._attempt(ctx, "create", post, otherwise=None)

    def read(self, ctx: Any, current: State) -> State | None:
        """Return the object as it is now, ``None`` where it is gone; Terraform then plans to create it again."""

        def get() -> State | None:
            try:
                return self.from_result(self._fetch(current), current)
            except NotFound:
                return None

        return self._attempt(ctx, "read", get, otherwise=current)

    def update(self, ctx: Any, current: State, planned: State) -> State | None:
        """Change the object; after an error the state stays as it was."""

        def change() -> State:
            result = self._client.send(self.update_method, self.item(current), self.request_body(planned))
            return self.from_result(result, planned)

        return self._attempt(ctx, "update", change, otherwise=current)

    def first_update(self, ctx: Any, planned: State) -> State | None:
        """Create by an update what belongs to another object and can't be made alone; ``None`` after an error."""
        state = self.update(ctx, planned, planned)
        return None if ctx.diagnostics.has_errors() else state

    def delete(self, ctx: Any, current: State) -> State | None:
        """Delete the object; one that is gone already is fine, and after an error the state stays as it was."""

        def remove() -> None:
            with suppress(NotFound):
                self._client.send("DELETE", self.item(current))

        return self._attempt(ctx, "delete", remove, otherwise=current)

    def import_(self, ctx: Any, id: str) -> State | None:  # noqa: A002 - the library's signature
        """Return the object that an import id such as ``<zone_id>/<dns_record_id>`` names."""

        def fetch() -> State:
            parts = id.split("/")
            if len(parts) != len(self.import_form):
                form = "/".join(f"<{part}>" for part in self.import_form)
                raise InvalidInput(f"the import id {id!r} has not the form {form}")
            known = {each.name: None for each in self.attributes} | dict(zip(self.import_form, parts, strict=True))
            return self.from_result(self._fetch(known), known)

        return self._attempt(ctx, "import", fetch, otherwise=None)

    def upgrade(self, _ctx: Any, _version: int, old: State) -> State:
        """Return a state of an older schema version as it is: there has been one version only."""
        return old

    @property
    def _client(self) -> Cloudflare:
        client: Cloudflare = self._provider.client()
        return client

    def _attempt(
        self, ctx: Any, action: str, work: Callable[[], State | None], *, otherwise: State | None
    ) -> State | None:
        return attempt(ctx.diagnostics, work, otherwise=otherwise, summary=f"Cannot {action} {ctx.type_name}: ")

    def _fetch(self, state: State) -> Mapping[str, Any]:
        result: Mapping[str, Any] = self._client.send("GET", self.item(state))
        return result

    def _value(self, attribute: Attribute, result: Mapping[str, Any], known: State) -> Any:
        if attribute.name not in result:
            value = known.get(attribute.name)
            return None if value is UNKNOWN else value
        value = _shaped(attribute.type, result[attribute.name])
        # The API says [] or "" where nothing was set; Terraform insists on the null that was planned.
        unset = known.get(attribute.name) is None and not attribute.computed and value in ([], {}, "")
        return None if unset else value


def _set_only(value: Any) -> Any:
    """Return a value without the attributes of its objects that have no value."""
    if isinstance(value, dict):
        return {key: _set_only(item) for key, item in value.items() if item is not None and item is not UNKNOWN}
    return [_set_only(item) for item in value] if isinstance(value, list) else value


def _shaped(kind: Any, value: Any) -> Any:
    """Return a value of the API with every attribute of its objects, and no others."""
    if isinstance(kind, Object) and isinstance(value, dict):
        return {each.name: _shaped(each.type, value.get(each.name)) for each in kind.attributes}
    element = getattr(kind, "element_type", None)
    return [_shaped(element, item) for item in value] if element and isinstance(value, list) else value
