"""Starts and stops the GitLab simulator inside a running event loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from factory.errors import FactoryError, Refused
from factory.local_gitlab import app
from factory.local_gitlab.accounts import accounts, namespaces
from factory.local_gitlab.ci import scheduler
from factory.local_gitlab.merge_requests import merging
from factory.local_gitlab.ref_updates import sync_refs
from factory.local_gitlab.repository import git_http
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Store
from factory.local_gitlab.webhooks import deliveries
from factory.system import files, git_locks, loopback

_REAL_TOKENS = ("glpat-", "gldt-", "glrt-", "glcbt-", "gloas-")


@asynccontextmanager
async def serve(
    state: Path, *, port: int, tier: str, expander: tuple[str, ...], tool_env: Mapping[str, str], kept: Path
) -> AsyncIterator[Context]:
    """Serve the state folder on loopback until the block ends.

    ``expander`` is the command of gitlab-ci-local; ``tool_env`` is the complete environment of git and
    gitlab-ci-local; ``kept`` is the cache folder of expanded definitions. Raises ``PortInUse``, and ``Refused`` if
    ``tool_env`` contains a token of a real GitLab.
    """
    _refuse_real_tokens(tool_env)
    files.private_folder(state)
    git_http.install_hook(state)
    context = Context(
        state=state,
        store=Store(state / "gitlab.sqlite"),
        base_url=f"http://{loopback.HOST}:{port}",
        tier=tier,
        expander=expander,
        tool_env=tool_env,
        kept=kept,
    )
    _prepare(context)
    runner = loopback.runner(app.create(context))
    await runner.setup()
    try:
        await loopback.listen(runner, port)
    except FactoryError:
        await runner.cleanup()
        raise
    try:
        # A server without a running scheduler is useless: if a background task fails, the block ends too.
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(context)) for work in (scheduler.run, merging.run, deliveries.run)]
            yield context
            for task in tasks:
                task.cancel()
    finally:
        context.end()
        await runner.cleanup()
        context.store.close()


def _prepare(context: Context) -> None:
    """Create the administrator once, renew heartbeats of running jobs, and process pushes that a crash interrupted."""
    store = context.store
    deliveries.watch(context)
    scheduler.renew_heartbeats(context)
    with store.transaction():
        root = store.find("user", "root")
        if root is None:
            root = accounts.create_user(store, "root", name="Administrator", email="root@localhost", admin=True)
            _, text = accounts.issue_token(store, root, "administrator")
            files.write_atomic(context.state / "root-token", text.encode(), mode=0o600)
        namespaces.give_owners(store)
        for project in store.all("project"):
            owner = store.get("user", project["creator_id"]) or root
            git_locks.remove_stale(context.repository(project).path, seconds=0)
            sync_refs(context, project, owner, known_user=False)


def _refuse_real_tokens(environment: Mapping[str, str]) -> None:
    for key, value in environment.items():
        if value.startswith(_REAL_TOKENS) and "local" not in value:
            raise Refused(f"{key} contains a token of a real GitLab; the local simulator must never get one")
