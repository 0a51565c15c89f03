"""A server's own wheel of `lightphon-node`, and how to install it."""

import asyncio
import hashlib
import io
import os
import shlex
import sys
import sysconfig
import zipfile
from importlib.metadata import Distribution, version
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from lightphon_backend_gguf.hub.wheel import DISTRIBUTION, installed_wheel, pack

DEADLINE_S = 60


async def get(url: str, **headers: str) -> tuple[int, str, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, answer.content_type, await answer.read()


async def command(*arguments: str | Path, **environ: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ, **environ}
    )
    async with asyncio.timeout(DEADLINE_S):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_a_fresh_environment_installs_the_node_from_the_server(hub: Any, tmp_path: Path) -> None:
    server = f"http://127.0.0.1:{hub.port}"
    status, kind, said = await get(f"{server}/download")
    assert (status, kind) == (200, "text/plain")
    (line,) = [line.strip() for line in said.decode().splitlines() if "pip install" in line]
    pip, *arguments = shlex.split(line)
    assert pip == "lightphon-node/bin/pip"
    assert arguments[1].startswith(f"{DISTRIBUTION}[node] @ {server}/download/lightphon_backend_gguf-")

    environment = tmp_path / "lightphon-node"
    await command(sys.executable, "-m", "venv", environment)
    offline = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": ""}
    await command(tmp_path / pip, *arguments, "--no-deps", **offline)
    # What it depends on is borrowed from here; as a path it brings no installation in place along.
    borrowed = {"PYTHONPATH": sysconfig.get_path("purelib"), "PYTHONDONTWRITEBYTECODE": "1"}
    said_version = await command(environment / "bin" / "lightphon-node", "--version", **borrowed)
    assert said_version == f"lightphon-node, version {version(DISTRIBUTION)}\n"
    script = "import lightphon_backend_gguf.node.program as p; print(p.__file__)"
    assert str(environment) in await command(environment / "bin" / "python", "-c", script, **borrowed)


async def test_programs_get_json_and_the_hash_is_that_of_the_file(hub: Any) -> None:
    server = f"http://127.0.0.1:{hub.port}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server}/download", headers={"Accept": "application/json"}) as answer:
            told = await answer.json()
        async with session.get(told["url"]) as answer:
            data = await answer.read()
    assert told["sha256"] == hashlib.sha256(data).hexdigest()
    assert told["sha256"] in told["install"]
    assert told["run"].endswith(f"run --server {server} MODEL")


async def test_no_other_file_is_served(hub: Any) -> None:
    for name in ("lightphon_backend_gguf-0.0.1-py3-none-any.whl", "..%2Fpyproject.toml", "pyproject.toml"):
        status, _, _ = await get(f"http://127.0.0.1:{hub.port}/download/{name}")
        assert status == 404


async def test_a_strange_host_is_no_part_of_the_command(hub: Any) -> None:
    _, _, said = await get(f"http://127.0.0.1:{hub.port}/download", Host="x;touch$(y)'")
    for line in said.decode().splitlines():
        if "lightphon-node/bin" in line:
            assert not [
                word for word in shlex.shlex(line, posix=True, punctuation_chars=True) if word in (";", "(", ")")
            ]


def test_the_wheel_is_whole_and_the_same_every_time() -> None:
    wheel = installed_wheel()
    assert wheel == installed_wheel()
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        names = archive.namelist()
        info = f"lightphon_backend_gguf-{version(DISTRIBUTION)}.dist-info"
        record = archive.read(f"{info}/RECORD").decode().splitlines()
        assert b"lightphon-node = " in archive.read(f"{info}/entry_points.txt")
    assert {"lightphon_backend_gguf/node/cli/run.py", "lightphon_backend_gguf/py.typed", f"{info}/METADATA"} <= set(
        names
    )
    assert f"{info}/licenses/LICENSE" in names
    assert sorted(line.rsplit(",", 2)[0] for line in record) == sorted(names)
    assert not [name for name in names if "__pycache__" in name or "direct_url" in name]


def test_what_lies_beside_the_code_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pack.age"
    for name in ("__init__.py", "__pycache__/x.pyc", ".env", ".cache/key", "sub/code.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("#")
    info = tmp_path / "a_b-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: a-b\nVersion: 1\n")
    wheel = pack(Distribution.at(info), package)
    assert wheel.name == "a_b-1-py3-none-any.whl"
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        code = [name for name in archive.namelist() if name.startswith("pack.age")]
    assert code == ["pack.age/__init__.py", "pack.age/sub/code.py"]
