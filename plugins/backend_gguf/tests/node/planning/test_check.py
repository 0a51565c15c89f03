"""What `lightphon-node check` tells: the judgement as a pure function, and the command with the real engine."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from lightphon_backend_gguf.demo.model import find_demo_model
from lightphon_backend_gguf.node.engines.installed import Installed
from lightphon_backend_gguf.node.models.facts import read_model
from lightphon_backend_gguf.node.models.memory import cache_bytes
from lightphon_backend_gguf.node.planning.check import ModelReport, Report, judge, lines
from lightphon_backend_gguf.protocol.account import PriceMessage
from lightphon_backend_gguf.protocol.hardware import Gpu, Hardware, Machine
from lightphon_backend_gguf.protocol.messages import ModelFacts

GIB = 2**30
CPU_ONLY = Installed("llama.cpp", "xllamacpp", "2026.10", homepage="https://example.org/xllamacpp")
BOX = Hardware(cpu="A CPU", cores=8, memory_bytes=32 * GIB)
CARD = Gpu("NVIDIA GeForce RTX 4090", 24 * GIB)


def judged(
    hardware: Hardware = BOX, *engines: Installed, models: tuple[ModelReport, ...] = (), more: Any = ()
) -> Report:
    return judge(hardware, Machine(), engines or (CPU_ONLY,), models, python="/venv/bin/python", more=more)


def test_nothing_stands_in_the_way_of_a_model_that_fits() -> None:
    report = judged(models=(ModelReport("m", "m.gguf", weights=30 * GIB, cache=GIB),))
    assert (report.problems, report.notes) == ((), ())


@pytest.mark.parametrize(
    ("gpu", "variant"),
    [
        ("NVIDIA GeForce RTX 4090", "cu128"),
        ("Tesla T4", "cu128"),
        ("AMD Radeon RX 7900 XTX", "rocm"),
        ("Intel(R) Arc(TM) A770 Graphics", "vulkan"),
    ],
)
def test_a_gpu_that_the_engine_cannot_use_is_a_problem_with_a_remedy(gpu: str, variant: str) -> None:
    (problem,) = judged(evolve(BOX, gpus=(Gpu(gpu, 24 * GIB),))).problems
    assert gpu in problem
    assert "(https://example.org/xllamacpp)" in problem
    line = f"/venv/bin/python -m pip install --force-reinstall --no-deps ADDRESS-OF-THE-{variant.upper()}-WHEEL"
    assert f"the build {variant} of xllamacpp" in problem
    assert line in problem


def test_a_gpu_that_nobody_knows() -> None:
    (problem,) = judged(evolve(BOX, gpus=(Gpu("Something new"),))).problems
    assert "install a build of xllamacpp that can use it" in problem


def test_a_gpu_that_is_used_is_none() -> None:
    hardware, engine = evolve(BOX, gpus=(CARD,)), evolve(CPU_ONLY, gpus=(CARD.name,))
    assert judged(hardware, engine).problems == ()
    large = ModelReport("m", "m.gguf", weights=40 * GIB, cache=GIB)
    report = judged(hardware, engine, models=(large,))
    assert report.problems == ()
    assert report.notes == ("The models take about 41.2 GiB, the GPUs have 24.0 GiB: the CPU computes the rest.",)
    (problem,) = judged(hardware, engine, models=(large, large)).problems
    assert problem.startswith("The models take about 82.5 GiB, and there are 56.0 GiB.")


def test_an_engine_that_is_missing_or_broken() -> None:
    missing = Installed("llama.cpp", "xllamacpp", problem="it is not installed", requirement="xllamacpp")
    report = judged(BOX, missing)
    (problem,) = report.problems
    assert problem == "llama.cpp: it is not installed. Install it with: /venv/bin/python -m pip install xllamacpp"
    assert "  llama.cpp  xllamacpp, it is not installed" in lines(report)


def test_the_advice_is_for_the_engine_that_would_run() -> None:
    box = evolve(BOX, gpus=(CARD,))
    (problem,) = judged(box, Installed("ctransformers", "ctransformers", "0.2.27")).problems
    assert problem.endswith("ctransformers computes with the CPU alone. To use it, try llama.cpp: leave --engine out.")
    own = Installed("llama-server", "/opt/llama-server")
    (problem,) = judged(box, own).problems
    assert "/opt/llama-server computes with the CPU alone" in problem
    silent = judged(box, evolve(own, gpus=None))
    assert silent.problems == ()
    assert "  llama-server  /opt/llama-server, does not tell whether it uses a GPU" in lines(silent)
    assert judged(box, evolve(own, gpus=(CARD.name,)), CPU_ONLY).problems == ()  # the GPU does not lie idle
    attached = judge(box, Machine(), (), (), python="p")
    assert attached.problems == ()
    assert "Engine" not in lines(attached)


def test_a_memory_limit_that_no_start_would_keep_to() -> None:
    model = ModelReport("m", "m.gguf", facts=ModelFacts("m", ("chat",)), weights=4 * GIB, memory_limit=4 * GIB)
    report = judged(models=(model,))
    (problem,) = report.problems
    assert problem.startswith("m.gguf: the limit on its memory is 4.0 GiB, and it takes about 4.2 GiB")
    assert "    memory  4.0 GiB of weights; started again above 4.0 GiB" in lines(report)
    assert judged(models=(evolve(model, memory_limit=5 * GIB),)).problems == ()
    assert judged(evolve(BOX, gpus=(CARD,)), evolve(CPU_ONLY, gpus=(CARD.name,)), models=(model,)).problems == ()


def test_terminal_codes_of_names_are_not_shown() -> None:
    report = judged(models=(ModelReport("m", "a\x1b[31m\u202eb.gguf", problem="x\ny"),))
    assert not [line for line in lines(report) if not line.isprintable()]


def test_prices_in_words() -> None:
    own, priced = ModelReport("m", "m"), ModelReport("n", "n", price=PriceMessage(per_minute=500))
    said = lines(judged(models=(own, priced)))
    assert [line for line in said if "price" in line] == [
        "    price   the server's own",
        "    price   0.5 sats a minute",
    ]


def command(*arguments: object, **environ: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "lightphon_backend_gguf.node", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error", **environ},
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_tells_of_every_model_in_a_folder_and_of_what_is_wrong(models: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_text("<html>")
    (tmp_path / "good.gguf").write_bytes((models / "greeting.gguf").read_bytes())
    status, said, errors = command("check", "--json", tmp_path, "--price", "7", "--slots", "3", XDG_CONFIG_HOME="/none")
    assert errors == ""
    told = json.loads(said)
    bad, good = told["models"]
    assert (bad["problem"], status) == (f"{tmp_path}/bad.gguf: This is not a GGUF file.", 1)
    assert good["facts"]["quantization"] == "F16"
    assert (good["slots"], good["price"]["per_minute"], good["problem"]) == (3, 7000, None)
    # One layer and one key-value head of 32 numbers, for 3 x 8192 tokens, keys and values, at two bytes.
    assert good["cache"] == 3 * 8192 * 2 * 32 * 2
    assert good["weights"] == (tmp_path / "good.gguf").stat().st_size
    assert told["hardware"]["cores"] >= 1
    (engine,) = told["engines"]
    assert (engine["name"], engine["gpus"]) == ("llama.cpp", [])
    assert engine["version"]


def test_the_command_takes_the_options_of_run_and_asks_the_engine_that_is_named(models: Path, tmp_path: Path) -> None:
    program = tmp_path / "my-server"
    program.write_text(f"#!{sys.executable}\nprint('Available devices:\\n  Vulkan0: A card (8 MiB, 7 MiB free)')\n")
    program.chmod(0o755)
    options = ("--engine", f"llama-server={program}", "--max-jobs", "1", "--slots", "3", "--memory-limit", "1.5")
    status, said, errors = command("check", "--json", models / "greeting.gguf", *options, XDG_CONFIG_HOME="/none")
    told = json.loads(said)
    assert (status, errors, told["problems"]) == (0, "", [])
    assert [(each["name"], each["package"], each["gpus"]) for each in told["engines"]] == [
        ("llama-server", str(program), ["A card"])
    ]
    (model,) = told["models"]
    assert (model["slots"], model["memory_limit"]) == (1, 3 * 2**29)


def test_the_cache_estimate_is_what_llama_cpp_says_it_takes() -> None:
    path = find_demo_model()
    assert path is not None
    script = """if True:
        import os, sys, xllamacpp
        params = xllamacpp.CommonParams()
        params.model.path, params.n_parallel, params.n_ctx, params.verbosity = sys.argv[1], 2, 4096, 4
        params.kv_unified, params.fit_params, params.port, params.cpuparams.n_threads = False, False, 0, 1
        server = xllamacpp.Server(params)
        sys.stdin.read()
        os._exit(0)
    """
    arguments = [sys.executable, "-c", script, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        found = (re.search(r"KV buffer size = +([0-9.]+) MiB", line) for line in process.stdout)
        said = next(filter(None, found), None)
        process.kill()
    assert said is not None
    estimate = cache_bytes(read_model(path), 4096)
    assert estimate is not None
    assert estimate / 2**20 == float(said[1])
