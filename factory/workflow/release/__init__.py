"""From an approved merge request to a deployment: review, saved plans, rollout, recovery."""
