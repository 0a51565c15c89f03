"""A disk with no room left, for the database and for the log: the server says so, goes on, and recovers by itself."""

import os
import resource
import signal
import subprocess
import sys

import httpx
import pytest

PATIENCE_S = 30


@pytest.fixture
def serving(tmp_path):
    """`lightphon serve` in a process of its own, with its log in a file: the process, its URL and that file."""
    log = tmp_path / "log"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTPHON_")}
    command = [sys.executable, "-m", "lightphon_core", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    log.touch()
    with log.open("ab") as writing, log.open() as reading:
        process = subprocess.Popen(command, stdout=writing, stderr=writing, env=environ)
        try:
            line = ""
            while "listening" not in line:
                process.poll()
                assert process.returncode is None, log.read_text()
                line = reading.readline()
            yield process, line.partition("url=")[2].strip(), log
        finally:
            process.kill()
            process.wait(PATIENCE_S)


def test_the_disk_is_full_for_a_while(serving):
    process, url, log = serving

    def room(size):
        """No file of the server's may grow beyond this, as if the disk were full."""
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        assert client.get("/readyz").status_code == 200
        room(log.stat().st_size)
        for _ in range(3):
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/account").status_code == 401
        room(resource.RLIM_INFINITY)
        assert client.get("/readyz").status_code == 200
        room(log.stat().st_size)
        assert client.get("/readyz").status_code == 503
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert "Traceback" not in log.read_text()
