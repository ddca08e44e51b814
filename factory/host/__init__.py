"""A machine that runs releases: it asks the evidence which, and runs nothing else."""
