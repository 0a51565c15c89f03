# The commands CI runs, for people who have `just` and `uv`.

# Everything a change has to pass.
check: lint test

lint:
    uv run ruff check .
    uv run ruff format --check .
    uv run mypy

format:
    uv run ruff check --fix .
    uv run ruff format .

test *ARGS:
    uv run pytest {{ARGS}}

# The core's own tests, with no plugin installed.
test-core:
    UV_PROJECT_ENVIRONMENT=.venv-core uv run --no-default-groups --group test pytest tests --ignore=tests/live

# The tests that need packages from npm.
test-npm:
    .ci/npm-tests

# The real OpenClaw, both ways.
test-openclaw:
    .ci/openclaw-tests

# Real payments: a Lightning network on regtest; brings bitcoind, ElectrumX and Electrum.
test-regtest:
    .ci/regtest-tests

# Real payments through LNbits, which it installs from PyPI.
test-lnbits:
    .ci/lnbits-tests

# The web app in Chromium, which it installs if it is missing.
test-browser:
    .ci/browser-tests

# Clients from PyPI: LangChain, aider.
test-clients:
    .ci/client-tests

# The documented configurations of nginx and Caddy, in front of a live server.
test-proxies:
    .ci/proxy-tests

# docs/operating.md followed word by word, with a systemd in a container; needs root.
test-systemd:
    .ci/systemd-tests

# The API, fuzzed by what /schema says of it.
test-fuzz:
    .ci/fuzz

bench *ARGS:
    uv run python benchmarks/overhead.py {{ARGS}}

demo *ARGS:
    uv run lightphon demo {{ARGS}}

# Print the versions that are installed, for `constraint-dependencies` in pyproject.toml.
pin:
    uv pip freeze --exclude-editable
