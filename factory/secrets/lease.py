"""Provides secrets during a block: logs in before it, renews the login during it, and always revokes it afterwards.

A job with a runner that reaches OpenBao has the server's address and an ID token. A machine without GitLab has a role
ID and a secret ID. If no address is set, the values come from protected CI variables.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from factory.errors import FactoryError, InvalidInput, NotFound, Unauthorized
from factory.model.secret import Secret, SecretLocation
from factory.system import log

if TYPE_CHECKING:
    from factory.secrets.openbao import Login, OpenBao

ADDRESS = "FACTORY_OPENBAO_URL"
CERTIFICATES = "FACTORY_OPENBAO_CA"
# Variables with the prefix FACTORY_TOKEN_ are not passed to the programs that the factory starts.
IDENTITY = "FACTORY_TOKEN_ID"
# These values only select the role that a job requests; OpenBao checks its token against the role.
_SOURCE, _REVIEW = "CI_PIPELINE_SOURCE", "merge_request_event"
REVIEW = "factory-review"
ROLE_ID, SECRET_ID = "FACTORY_OPENBAO_ROLE_ID", "FACTORY_TOKEN_SECRET_ID"
_SOONEST = 0.5


def role(deploys: str = "") -> str:
    """Return the role of a job that deploys to an environment, or of a plan job if ``deploys`` is empty."""
    return f"factory-apply-{deploys}" if deploys else "factory-plan"


@contextmanager
def opened(
    environment: Mapping[str, str], places: Sequence[SecretLocation], *, deploys: str = ""
) -> Iterator[Mapping[str, Secret]]:
    """Yield the secrets of these places by name.

    ``environment`` has the job's variables. ``deploys`` is the environment that the job deploys to, empty for a plan
    job. Raises ``NotFound`` if a secret or variable is missing, ``Unauthorized`` if the job has no token or the role
    rejects it, ``Refused`` if the role may not read a place, ``Unreachable`` if the server does not answer.
    """
    if not environment.get(ADDRESS):
        yield {place.name: _from_variable(environment, place) for place in places}
        return
    from factory.secrets.openbao import OpenBao  # noqa: PLC0415 - importing hvac takes 90 ms

    server = OpenBao(environment[ADDRESS], ca=environment.get(CERTIFICATES, ""))
    with closing(server), held(server, login(server, environment, deploys=deploys)):
        yield {place.name: server.get(place).value for place in places}


def login(server: "OpenBao", environment: Mapping[str, str], *, deploys: str = "") -> "Login":
    """Log in with the environment's ID token, or else its role ID and secret ID; raises ``Unauthorized``."""
    if environment.get(IDENTITY):
        review = not deploys and environment.get(_SOURCE) == _REVIEW
        return server.login_jwt(REVIEW if review else role(deploys), Secret(environment[IDENTITY]))
    if environment.get(ROLE_ID) and environment.get(SECRET_ID):
        return server.login_approle(environment[ROLE_ID], Secret(environment[SECRET_ID]))
    raise Unauthorized(
        f"cannot log in to {server.address}: neither {IDENTITY} nor {ROLE_ID} with {SECRET_ID} is set",
        hint=f"Add `id_tokens: {{{IDENTITY}: {{aud: …}}}}` to the job's definition; see docs/secrets.md.",
    )


@contextmanager
def held(server: "OpenBao", given: "Login") -> Iterator[None]:
    """Renew a login after half of its lifetime, and revoke it when the block ends, even if the block raises.

    Errors of either are only logged, because the login expires soon anyway.
    """
    over = threading.Event()
    # The thread needs its own connection because those of requests are not thread-safe.
    renewer = threading.Thread(target=_renew, args=(server.again(given.token), given, over), daemon=True)
    if given.renewable:
        renewer.start()
    try:
        yield
    finally:
        over.set()
        if given.renewable:
            renewer.join()
        try:
            server.revoke()
        except FactoryError as error:
            log.event("the lease could not be revoked; it ends by itself", seconds=given.seconds, reason=str(error))


def _renew(server: "OpenBao", given: "Login", over: threading.Event) -> None:
    asked = left = given.seconds
    while not over.wait(max(left / 2, _SOONEST)):
        try:
            left = server.renew(asked).seconds
        except Unauthorized as error:
            log.event("the lease has ended", reason=str(error))
            break
        except FactoryError as error:
            log.event("the lease could not be renewed; it is tried again", reason=str(error))
            left = left // 2
    server.close()


def _from_variable(environment: Mapping[str, str], place: SecretLocation) -> Secret:
    if not place.variable:
        raise InvalidInput(f"the secret {place.name} has no CI variable, and {ADDRESS} is not set")
    value = environment.get(place.variable)
    if not value:
        raise NotFound(
            f"the variable {place.variable} for the secret {place.name} is not set",
            hint=f"Set it with `factory secrets sync`, or give the job {ADDRESS} and an ID token.",
        )
    return Secret(value)
