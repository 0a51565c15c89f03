"""`python -m lightphon_backend_gguf.node` is `lightphon-node`."""

from lightphon_backend_gguf.node.cli import main

main(prog_name="lightphon-node")
