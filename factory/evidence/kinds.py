"""The kinds of statements: what each records, and what its subjects name. The generated reference shows them."""

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, tuple[str, str]] = {
    "claim": ("session, branch, lease and its fencing token, author and role", "`issue/<iid>`: the frozen issue text"),
    "attempt": (
        (
            "agent, reason for its end, usage, cost, sandbox level, base and head commit, check results that "
            "the agent received"
        ),
        "`brief`, `transcript`, the head commit if any",
    ),
    "handover": ("session, who took over, base and head commit, size of the change", "the head commit"),
    "proposal": (
        "a person's own merge request, which no session made: author, accounts that pushed it, branch, head commit",
        "the head commit",
    ),
    "verdict": (
        "pipeline, `judge_sha`, head commit, gates and their results, policy digest",
        "the head commit, the verdict file",
    ),
    "approval": (
        (
            "scope (merge or deploy), approver, type (`human`, `own` by the author, `simulated`), head commit, "
            "digests of spec, policy and plan"
        ),
        "the head commit, the plan if any",
    ),
    "merge": ("head commit, target, who merged, merge commit", "the merge commit"),
    "plan": (
        (
            "job, commit, stack, digests of manifest, normalised plan and plan file, number of approvals "
            "that policy requires"
        ),
        "the commit and the three digests; on main, the archive of each release, `release/<app>-<commit>`",
    ),
    "unchanged": (
        "main's pipeline of the commit changes no stack, so nothing is deployed: pipeline, job of the plan (0: none)",
        "the commit",
    ),
    "build": (
        (
            "an archive of an app as SLSA provenance v1: app, source and commit, pipeline and job, the packages that "
            "the app's files name; also the fields `merge_request`, `commit` and `archive`"
        ),
        "the archive",
    ),
    "apply": (
        (
            "job, commit, manifest, plan, result (`applied`, `unknown` or `refused`), whether the plan after "
            "it was empty"
        ),
        "the commit, the manifest, the plan",
    ),
    "deploy": ("environment, URL, commit, release, whether it was verified", "the commit"),
    "return": (
        (
            "environment, job, commit, manifest, the releases that receive the traffic again, result "
            "(`returned`, `applied`, `refused` or `unknown`)"
        ),
        "the commit, the manifest if any",
    ),
    "rollback": ("environment, pipeline, old and new commit, who requested it and why", "the new commit"),
    "recovery": (
        "stack, job, which changes are complete, partial and not started, the state's serial before and now",
        "the commit",
    ),
    "proof": (
        (
            "an interrupted apply that counts as done: job, commit, stack, manifest and plan; the manifest and plan "
            "of a new plan without changes, its pipeline, and the state's serial before and now"
        ),
        "the commit, both manifests, both plans",
    ),
    "unlock": ("stack, the lock and its holder or the two state serials, who did it and why", "the lock, the state"),
    "restore": ("stack, the lock and its holder or the two state serials, who did it and why", "the lock, the state"),
}
