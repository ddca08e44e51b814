"""The only access to the machine: processes, files, clock, digests, YAML, templates, log, HTTP."""
