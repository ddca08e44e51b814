"""Secrets for the length of a block: logged in before it, renewed during it, revoked after it whatever happens.

A job on a GitLab whose runners reach OpenBao has its address and an id token; a machine without GitLab has a role id
and a secret id. Where no address is set, the values come from protected CI variables.
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
# The prefix FACTORY_TOKEN_ keeps both out of what the factory's own programs are started with.
IDENTITY = "FACTORY_TOKEN_ID"
# Which role a job can take is for its token to prove; this only says which one it asks for.
_SOURCE, _REVIEW = "CI_PIPELINE_SOURCE", "merge_request_event"
REVIEW = "factory-review"
ROLE_ID, SECRET_ID = "FACTORY_OPENBAO_ROLE_ID", "FACTORY_TOKEN_SECRET_ID"
_SOONEST = 0.5


def role(deploys: str = "") -> str:
    """Return the role of a job that deploys to an environment, or of one that only plans."""
    return f"factory-apply-{deploys}" if deploys else "factory-plan"


@contextmanager
def opened(
    environment: Mapping[str, str], places: Sequence[SecretLocation], *, deploys: str = ""
) -> Iterator[Mapping[str, Secret]]:
    """Give the secrets of these places by name until the block ends.

    ``environment`` is the job's own, ``deploys`` the environment that it deploys to, empty for one that plans.
    Raises ``NotFound`` where a secret or variable is missing, ``Unauthorized`` where the job has no token or is not
    who it must be, ``Refused`` where its role may not read a place, ``Unreachable`` where the server does not answer.
    """
    if not environment.get(ADDRESS):
        yield {place.name: _from_variable(environment, place) for place in places}
        return
    from factory.secrets.openbao import OpenBao  # noqa: PLC0415 - hvac takes 90 ms, and few jobs need it

    server = OpenBao(environment[ADDRESS], ca=environment.get(CERTIFICATES, ""))
    with closing(server), held(server, login(server, environment, deploys=deploys)):
        yield {place.name: server.get(place).value for place in places}


def login(server: "OpenBao", environment: Mapping[str, str], *, deploys: str = "") -> "Login":
    """Log in with what the environment holds: an id token, else the pair of a machine. Raises ``Unauthorized``."""
    if environment.get(IDENTITY):
        review = not deploys and environment.get(_SOURCE) == _REVIEW
        return server.login_jwt(REVIEW if review else role(deploys), Secret(environment[IDENTITY]))
    if environment.get(ROLE_ID) and environment.get(SECRET_ID):
        return server.login_approle(environment[ROLE_ID], Secret(environment[SECRET_ID]))
    raise Unauthorized(
        f"there is neither {IDENTITY} nor {ROLE_ID} with {SECRET_ID} to log in to {server.address} with",
        hint=f"Give the job `id_tokens: {{{IDENTITY}: {{aud: …}}}}` in its definition; see docs/secrets.md.",
    )


@contextmanager
def held(server: "OpenBao", given: "Login") -> Iterator[None]:
    """Renew a login when half of it is over, and revoke it when the block ends, also where that raises.

    What goes wrong with either is logged: the login ends by itself soon after.
    """
    over = threading.Event()
    # Its own connection: those of requests are not made for two threads.
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
            f"the secret {place.name} is in no variable {place.variable}",
            hint=f"Set it with `factory secrets sync`, or give the job {ADDRESS} and an id token.",
        )
    return Secret(value)
