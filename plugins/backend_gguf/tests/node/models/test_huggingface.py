"""Models from a hub: a small server of ours that speaks what huggingface_hub asks, and can fail in the middle."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import define, field
from huggingface_hub import constants
from lightphon_backend_gguf.node.models.huggingface.errors import HubError
from lightphon_backend_gguf.node.models.huggingface.hub import HubModels
from lightphon_backend_gguf.node.models.sources import HubSource, parse_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "maker/Tiny-GGUF"
SECRET = "hf_of-the-tests"


@define
class FakeHub:
    """Serves `files` of one repository. `cut` ends the next downloads after so many bytes; `refuse` answers instead."""

    files: dict[str, bytes]
    url: str = ""
    needs_token: bool = False
    cut: list[int] = field(factory=list)
    lie: bool = False
    refuse: tuple[int, str] | None = None
    gated: bool = False
    ranges: list[str | None] = field(factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.refuse is not None or (self.needs_token and request.headers.get("Authorization") != f"Bearer {SECRET}"):
            return self._send(request, *(self.refuse or (401, "RepoNotFound")))
        path = urlsplit(request.path).path
        if path == f"/api/models/{REPOSITORY}":
            return self._list(request)
        prefix = f"/{REPOSITORY}/resolve/{COMMIT}/"
        if not path.startswith(prefix) or path.removeprefix(prefix) not in self.files:
            return self._send(request, 404, "RepoNotFound")
        if self.gated:
            return self._send(request, 403, "GatedRepo")
        return self._file(request, self.files[path.removeprefix(prefix)])

    def _send(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _list(self, request: BaseHTTPRequestHandler) -> None:
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130},
            }
            for name, data in self.files.items()
        ]
        siblings.append({"rfilename": "README.md", "size": 12})
        body = json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "tags": []}).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _file(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        wanted = request.headers.get("Range")
        first = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        request.send_response(206 if wanted else 200)
        digest = hashlib.sha256(data).hexdigest()
        for name, value in {
            "ETag": f'"{digest}"',
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(data)),
            "X-Repo-Commit": COMMIT,
            "Content-Length": str(len(data) - first),
            **({"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if wanted else {}),
        }.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "HEAD":
            return
        self.ranges.append(wanted)
        sent = bytes(len(data)) if self.lie else data
        end = self.cut.pop(0) if self.cut else len(data)
        request.wfile.write(sent[first:end])
        if end < len(data):
            request.close_connection = True


@pytest.fixture
def hub(models: Path) -> Iterator[FakeHub]:
    greeting = (models / "greeting.gguf").read_bytes()
    fake = FakeHub(
        {
            "tiny-Q4_K_M.gguf": greeting,
            "tiny-Q8_0.gguf": greeting + b"more",
            "big/tiny-F16-00001-of-00002.gguf": b"GGUF part one",
            "big/tiny-F16-00002-of-00002.gguf": b"GGUF part two",
            "mmproj-tiny-F16.gguf": b"GGUF eyes",
        }
    )

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            fake.answer(self)

        def do_HEAD(self) -> None:
            fake.answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def fetch(hub: FakeHub, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Fetches what a text names, into a cache of the test's own."""
    monkeypatch.delenv("HF_TOKEN", raising=False)

    def fetch(text: str) -> Path:
        source = parse_source(text)
        assert isinstance(source, HubSource)
        return HubModels(said.append, endpoint=hub.url, cache=tmp_path / "cache").fetch(source)

    return fetch


def test_a_model_by_its_quantization_is_downloaded_once(
    hub: FakeHub, fetch: Callable[[str], Path], said: list[str], tmp_path: Path
) -> None:
    path = fetch(f"hf:{REPOSITORY}:q4_k_m")
    assert path.name == "tiny-Q4_K_M.gguf"
    assert path.read_bytes() == hub.files["tiny-Q4_K_M.gguf"]
    # Where the hub's own programs look for it.
    assert path == tmp_path / "cache" / "models--maker--Tiny-GGUF" / "snapshots" / COMMIT / "tiny-Q4_K_M.gguf"
    assert fetch(f"hf:{REPOSITORY}/tiny-Q4_K_M.gguf") == path
    assert hub.ranges == [None]
    assert [line.split(" of ")[0] for line in said] == ["Downloading tiny-Q4_K_M.gguf"]
    assert not list(tmp_path.rglob("*-part"))


def test_all_parts_of_a_split_model_come(hub: FakeHub, fetch: Callable[[str], Path]) -> None:
    path = fetch(f"hf:{REPOSITORY}:F16")
    assert path.name == "tiny-F16-00001-of-00002.gguf"
    assert path.with_name("tiny-F16-00002-of-00002.gguf").read_bytes() == b"GGUF part two"
    assert len(hub.ranges) == 2


def test_an_interrupted_download_goes_on_where_it_stopped(
    hub: FakeHub, fetch: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    hub.cut = [500_000]
    path = fetch(f"hf:{REPOSITORY}:Q8_0")
    assert path.read_bytes() == hub.files["tiny-Q8_0.gguf"]
    assert hub.ranges == [None, "bytes=500000-"]


def test_so_does_one_that_an_earlier_start_began(
    hub: FakeHub, fetch: Callable[[str], Path], said: list[str], tmp_path: Path
) -> None:
    data = hub.files["tiny-Q8_0.gguf"]
    partial = tmp_path / "cache/models--maker--Tiny-GGUF/blobs" / f"{hashlib.sha256(data).hexdigest()}.lightphon-part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(data[:123_456])
    assert fetch(f"hf:{REPOSITORY}:Q8_0").read_bytes() == data
    assert hub.ranges == ["bytes=123456-"]
    assert "from 0.0 GB on" in said[0]


def test_wrong_bytes_are_refused_and_removed(hub: FakeHub, fetch: Callable[[str], Path], tmp_path: Path) -> None:
    hub.lie = True
    with pytest.raises(HubError, match="other content than the hub announces"):
        fetch(f"hf:{REPOSITORY}:Q8_0")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 1000]
    hub.lie = False
    assert fetch(f"hf:{REPOSITORY}:Q8_0").read_bytes() == hub.files["tiny-Q8_0.gguf"]


def test_the_token_of_the_environment_is_sent(
    hub: FakeHub, fetch: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.needs_token = True
    with pytest.raises(HubError, match=r"no such repository at .* or it is private and HF_TOKEN"):
        fetch(f"hf:{REPOSITORY}:Q8_0")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert fetch(f"hf:{REPOSITORY}:Q8_0").exists()


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "RepoNotFound", "there is no such repository"),
        (401, "", "HF_TOKEN is not valid|there is no such repository"),
        (403, "", "status 403. HF_TOKEN may not read it"),
        (403, "GatedRepo", "access is granted by its owner. Ask for it at http://127.0.0.1:[0-9]+/maker/Tiny-GGUF"),
    ],
)
def test_what_the_hub_refuses(status: int, code: str, message: str, hub: FakeHub, fetch: Callable[[str], Path]) -> None:
    hub.refuse = (status, code)
    with pytest.raises(HubError, match=message) as caught:
        fetch(f"hf:{REPOSITORY}:Q8_0")
    assert "\n" not in str(caught.value)


def test_a_listed_model_whose_files_are_gated(hub: FakeHub, fetch: Callable[[str], Path]) -> None:
    hub.gated = True
    with pytest.raises(HubError, match="access is granted by its owner"):
        fetch(f"hf:{REPOSITORY}:Q8_0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"hf:{REPOSITORY}", "several models; add one of these after a colon: F16, Q4_K_M, Q8_0"),
        (f"hf:{REPOSITORY}:Q2_K", "it has no Q2_K; it has F16, Q4_K_M, Q8_0"),
        (f"hf:{REPOSITORY}/none.gguf", "it has no file none.gguf; it has big/tiny-F16-00001-of-00002.gguf, "),
    ],
)
def test_what_is_missing_or_ambiguous_is_listed(text: str, message: str, fetch: Callable[[str], Path]) -> None:
    with pytest.raises(HubError, match=message):
        fetch(text)


def test_no_download_begins_without_room_for_all_of_it(
    hub: FakeHub, fetch: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**40, 2**40, 2**20))  # type: ignore[attr-defined]
    with pytest.raises(HubError, match=r"still to be downloaded, and 0\.0 GB are free"):
        fetch(f"hf:{REPOSITORY}:Q8_0")
    assert hub.ranges == []


def test_what_was_downloaded_before_is_used_while_the_hub_is_away(
    hub: FakeHub, fetch: Callable[[str], Path], said: list[str]
) -> None:
    path = fetch(f"hf:{REPOSITORY}:Q8_0")
    hub.refuse = (503, "")
    assert fetch(f"hf:{REPOSITORY}:Q8_0") == path
    assert "cannot be reached; using tiny-Q8_0.gguf" in said[-1]
    with pytest.raises(HubError, match="it has no Q4_K_M; it has Q8_0"):
        fetch(f"hf:{REPOSITORY}:Q4_K_M")


def test_the_command_takes_endpoint_cache_and_token_from_the_environment(hub: FakeHub, tmp_path: Path) -> None:
    hub.needs_token = True
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "LIGHTPHON_"))},
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path),
        "HF_TOKEN": SECRET,
        "LIGHTPHON_NODE_TOKEN": "np_x",
        "XDG_CONFIG_HOME": str(tmp_path),
    }

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "lightphon_backend_gguf.node", *arguments]
        return subprocess.run(program, env=environ, capture_output=True, text=True, timeout=60, check=False)

    checked = command("check", "--json", f"hf:{REPOSITORY}:Q4_K_M")
    (model,) = json.loads(checked.stdout)["models"]
    assert model["note"].startswith("`run` downloads tiny-Q4_K_M.gguf first")
    assert (model["id"], model["weights"], hub.ranges) == (REPOSITORY, len(hub.files["tiny-Q4_K_M.gguf"]), [])

    # Two quantizations of one repository have one id, which is found out before anything is served.
    both = [f"hf:{REPOSITORY}:Q4_K_M", f"hf:{REPOSITORY}:Q8_0"]
    ran = command("run", "--server", "http://127.0.0.1:9", *both)
    assert ran.returncode == 2, ran.stderr
    assert f"Error: 2 models are called {REPOSITORY}: give each a --name of its own." in ran.stderr
    assert len(hub.ranges) == 2
    assert SECRET not in ran.stderr + ran.stdout

    (model,) = json.loads(command("check", "--json", both[0]).stdout)["models"]
    assert (model["facts"]["quantization"], model["problem"]) == ("F16", None)
    assert (tmp_path / "hub" / "models--maker--Tiny-GGUF").is_dir()
