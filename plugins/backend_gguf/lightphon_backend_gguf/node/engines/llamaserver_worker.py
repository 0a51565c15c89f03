"""Becomes a user's own llama-server, which then ends with its parent. Run by `llamaserver.py`.

Standard input: one line of JSON: `url`, `binary`, `arguments` and `environ`, all of them the parent's own. Standard
output: one line, {"url": ...}, before the server begins to load. A process that is replaced keeps its standard
input and what the kernel does when that closes.
"""

import json
import os
import sys

from lightphon_backend_gguf.node.engines.worker import begin

_OWN = ("LLAMA_ARG_", "LLAMA_API_KEY")
"""Settings that llama-server would take from the environment; only ours count."""


def main() -> None:
    spec, reports = begin()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    print(json.dumps({"url": spec["url"]}), file=reports, flush=True)
    os.set_inheritable(reports.fileno(), False)
    try:
        # No shell: a program and a list of arguments.
        os.execve(spec["binary"], [spec["binary"], *spec["arguments"]], {**inherited, **spec["environ"]})  # noqa: S606
    except OSError as error:
        print(f"OSError: {spec['binary']} cannot be run ({error.strerror})", file=sys.stderr, flush=True)
        sys.exit(3)


if __name__ == "__main__":
    main()
