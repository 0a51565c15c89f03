"""`python -m lightphon_core` is the command `lightphon`."""

from lightphon_core.cli import main

main()
