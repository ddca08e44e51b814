"""``python -m factory``: the same command line as the ``factory`` script."""

from factory.cli import main

main()
