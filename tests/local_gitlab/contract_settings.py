"""The operations behind a project's settings: what succeeds, and the errors of their own."""

from tests.local_gitlab.contract_world import World


def hooks(world: World) -> None:
    project = world.project()
    base = f"/projects/{project.id}/hooks"
    hook = project.hooks.create({"url": "https://hooks.example.com/one", "job_events": True, "token": "secret"})
    world.call("POST", base, 400)
    world.call("POST", base, 422, json={"url": "gopher://example.com"})
    world.call("PUT", f"{base}/{hook.id}", 400)
    world.call("PUT", f"{base}/{hook.id}", 422, json={"url": "http://127.0.0.1/"})
    project.hooks.list(get_all=True)
    project.hooks.get(hook.id)
    hook.push_events = False
    hook.save()
    world.call("GET", f"{base}/99999", 404)
    hook.delete()


SETTINGS = (hooks,)
