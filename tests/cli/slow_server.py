"""`lightphon serve` with one node in its process, which says a word and then nothing until a file is there.

`python slow_server.py FILE ARGUMENTS`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from lightphon_core import Job
from lightphon_core.cli import main
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, event
from lightphon_core.web import assembly

go_on = Path(sys.argv.pop(1))


async def slowly(_: Job) -> AsyncGenerator[bytes, None]:
    yield chunk({"content": "begun"})
    while not go_on.exists():
        await asyncio.sleep(0.01)
    yield chunk(finish="stop") + event("[DONE]")


assembly.installed = lambda: [plugin_of(ScriptedBackend(slowly))]
main()
