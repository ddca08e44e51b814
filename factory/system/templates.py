"""Renders Jinja templates; an undefined variable is an error."""

from collections.abc import Mapping

import jinja2
import jinja2.sandbox

from factory.errors import InvalidInput

_ENVIRONMENT = jinja2.sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    autoescape=False,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

_HTML = _ENVIRONMENT.overlay(autoescape=True)


def render(template: str, values: Mapping[str, object], *, source: str) -> str:
    """Return ``template`` rendered with ``values``; raises ``InvalidInput`` naming ``source`` and the line."""
    return _render(_ENVIRONMENT, template, values, source)


def render_html(template: str, values: Mapping[str, object], *, source: str) -> str:
    """Return a page as ``render`` does, with every value escaped."""
    return _render(_HTML, template, values, source)


def _render(environment: jinja2.Environment, template: str, values: Mapping[str, object], source: str) -> str:
    try:
        return environment.from_string(template).render(values)
    except jinja2.TemplateSyntaxError as error:
        raise InvalidInput(f"{source}:{error.lineno}: {error.message}") from error
    except jinja2.TemplateError as error:
        raise InvalidInput(f"{source}: {error.message}") from error
