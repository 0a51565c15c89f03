"""What every engine of a node must do, asked through the node's own guard. Needs `gguf` and `pytest-asyncio`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightphon_backend_gguf.testing import engine_answers, engine_limits, engine_texts
from lightphon_backend_gguf.testing.engine_rig import Bench, Check, Rig

CHECKS: list[Check] = [*engine_answers.CHECKS, *engine_texts.CHECKS, *engine_limits.CHECKS]


class EngineContract:
    """Subclass it in a test file, and give the fixture `bench`."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(self, check: Check, bench: Bench, tmp_path: Path) -> None:
        """One promise of an engine."""
        await check(Rig(bench, tmp_path))
