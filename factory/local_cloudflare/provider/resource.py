"""Implements the operations of every resource of the provider double: plan, create, read, update, delete, import."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

from tf.schema import Schema

from factory.errors import InvalidInput, NotFound
from factory.local_cloudflare.provider.client import Cloudflare, attempt
from factory.local_cloudflare.provider.types import UNKNOWN, Attribute, Object, forbidden

State = dict[str, Any]


class Resource:
    """One resource type; the library creates an instance for every call from Terraform.

    Subclasses define name, attributes and paths. An object is created with POST on its collection, and read, changed
    and deleted at its own path.
    """

    name: ClassVar[str]
    attributes: ClassVar[tuple[Attribute, ...]]
    import_form: ClassVar[tuple[str, ...]]
    import_prefix: ClassVar[str] = ""
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
        """Return the path that creates an object."""
        raise NotImplementedError

    def item(self, state: State) -> str:
        """Return the path of the object."""
        return f"{self.collection(state)}/{state['id']}"

    def request_body(self, planned: State) -> State:
        """Return the body of a request: the configurable attributes that have a value."""
        return {
            each.name: _set_only(planned[each.name])
            for each in self.attributes
            if (each.required or each.optional) and planned.get(each.name) not in (None, UNKNOWN)
        }

    def from_result(self, result: Mapping[str, Any], known: State) -> State:
        """Return the state for an API result; ``known`` has the values that the API never returns."""
        return {each.name: self._value(each, result, known) for each in self.attributes}

    def validate(self, diags: Any, _type_name: str, config: State) -> None:
        """Reject values at plan time that the API would reject."""
        for attribute, reason in forbidden(self.attributes, config):
            diags.add_error(f"Invalid {attribute}", reason, path=[attribute])

    def plan(self, ctx: Any, _current: State | None, planned: State) -> State:
        """Mark the attributes that the server will change as unknown, if the plan has any change."""
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
        """Return the current object, or ``None`` if it no longer exists; Terraform then plans to create it again."""

        def get() -> State | None:
            try:
                return self.from_result(self._fetch(current), current)
            except NotFound:
                return None

        return self._attempt(ctx, "read", get, otherwise=current)

    def update(self, ctx: Any, current: State, planned: State) -> State | None:
        """Change the object; after an error the state is unchanged."""

        def change() -> State:
            result = self._client.send(self.update_method, self.item(current), self.request_body(planned))
            return self.from_result(result, planned)

        return self._attempt(ctx, "update", change, otherwise=current)

    def first_update(self, ctx: Any, planned: State) -> State | None:
        """Create an object that the API can only update, because it belongs to another; ``None`` after an error."""
        state = self.update(ctx, planned, planned)
        return None if ctx.diagnostics.has_errors() else state

    def delete(self, ctx: Any, current: State) -> State | None:
        """Delete the object if it exists; after an error the state is unchanged."""

        def remove() -> None:
            with suppress(NotFound):
                self._client.send("DELETE", self.item(current))

        return self._attempt(ctx, "delete", remove, otherwise=current)

    def import_(self, ctx: Any, id: str) -> State | None:  # noqa: A002 - the library's signature
        """Return the object that an import id such as ``<zone_id>/<dns_record_id>`` names."""

        def fetch() -> State:
            prefix = f"{self.import_prefix}/" if self.import_prefix else ""
            parts = id.removeprefix(prefix).split("/")
            if len(parts) != len(self.import_form) or not id.startswith(prefix):
                form = prefix + "/".join(f"<{part}>" for part in self.import_form)
                raise InvalidInput(f"the import id {id!r} does not have the form {form}")
            known = {each.name: None for each in self.attributes} | dict(zip(self.import_form, parts, strict=True))
            return self.from_result(self._fetch(known), known)

        return self._attempt(ctx, "import", fetch, otherwise=None)

    def upgrade(self, _ctx: Any, _version: int, old: State) -> State:
        """Return the state unchanged, because the schema has only one version."""
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
        value = shaped(attribute.type, result[attribute.name])
        # The API returns [] or "" for an unset value; Terraform requires the planned null.
        unset = known.get(attribute.name) is None and not attribute.computed and value in ([], {}, "")
        return None if unset else value


def _set_only(value: Any) -> Any:
    """Return a value without the attributes of its objects that have no value."""
    if isinstance(value, dict):
        return {key: _set_only(item) for key, item in value.items() if item is not None and item is not UNKNOWN}
    return [_set_only(item) for item in value] if isinstance(value, list) else value


def shaped(kind: Any, value: Any) -> Any:
    """Return an API value whose objects have exactly the attributes of the schema."""
    if isinstance(kind, Object) and isinstance(value, dict):
        return {each.name: shaped(each.type, value.get(each.name)) for each in kind.attributes}
    element = getattr(kind, "element_type", None)
    return [shaped(element, item) for item in value] if element and isinstance(value, list) else value
