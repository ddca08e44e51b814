"""The only doors to the machine: processes, files, clock, digests, YAML, templates, log, HTTP."""
