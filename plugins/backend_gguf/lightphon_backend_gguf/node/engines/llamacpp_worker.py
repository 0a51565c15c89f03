"""One llama.cpp server, in a process of its own. The only module that imports xllamacpp.

Run by `llamacpp.py` as `python -m`. Standard input: one line of JSON, `LlamaCppSettings`, what follows from them, and
the key, then silence; the process ends when it closes, so it never outlives its parent. Standard output: one line,
{"url": ...} or {"error": ...}, and nothing that a library may print. Standard error: llama.cpp's own complaints, for
the parent. With `--devices`, what it can compute with as JSON, and the end.
"""

import json
import os
import sys
import time
from typing import Any

import xllamacpp

from lightphon_backend_gguf.node.engines.worker import begin, wait_for_end

CPU_BATCH = 64
"""Prompt tokens in one step on a CPU. llama.cpp looks for cancelled requests only between steps."""

GPU_BATCH = 1024
"""The same where a GPU does the work, hundreds of times as fast."""

LAST_LINES_S = 0.25
"""How long llama.cpp gets to write why it cannot load a model."""


def main() -> None:
    spec, reports = begin()
    try:
        # Holds the GIL until the model is loaded: no Python code of this process runs meanwhile, in any thread.
        server = xllamacpp.Server(_parameters(spec))
    except RuntimeError as error:
        print(json.dumps({"error": str(error)}), file=reports, flush=True)
        # llama.cpp writes its log in a thread of its own, which nothing else waits for.
        time.sleep(LAST_LINES_S)
        sys.exit(3)
    print(json.dumps({"url": server.listening_address}), file=reports, flush=True)
    wait_for_end()


def _parameters(spec: dict[str, Any]) -> Any:
    """llama.cpp's parameters: loopback, a key, and nothing open, cached or logged that the node does not use."""
    gpu = _has_gpu()
    params = xllamacpp.CommonParams()
    params.model.path = spec["path"]
    params.model_alias = {spec["alias"]}
    params.api_keys = [spec["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = spec["places"]
    params.n_ctx = spec["places"] * spec["context"]
    params.n_batch = params.n_ubatch = spec["batch"] or (GPU_BATCH if gpu else CPU_BATCH)
    if spec["undivided"]:
        # The text of an embedding is computed in one step, or refused.
        params.n_batch = params.n_ubatch = spec["context"]
    if spec["mmproj"]:
        params.mmproj.path = spec["mmproj"]
        params.image_max_tokens = spec["image_tokens"] or params.image_max_tokens
        # What it cannot read as an image it would hand to ffmpeg: here is none.
        params.video_ffmpeg_bin_dir = os.devnull
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = spec["threads"]
    params.n_gpu_layers = spec["gpu_layers"]
    # Finds how many layers a GPU can hold, by a trial load that a CPU does not need.
    params.fit_params = gpu
    params.embedding = spec["embedding"]
    if spec["pooling"]:
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{spec['pooling'].upper()}")
    # With a cache for each slot llama.cpp divides texts of several slots into pieces of the same length.
    params.kv_unified = spec["undivided"]
    params.cache_ram_mib = 0
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.endpoint_metrics = False
    params.cors_origins = "null"
    params.offline = True
    params.verbosity = 1
    return params


def _has_gpu() -> bool:
    return any(device["gpu"] for device in devices())


def devices() -> list[dict[str, Any]]:
    """What llama.cpp can compute with, and whether it is a GPU."""
    kinds = xllamacpp.ggml_backend_dev_type
    gpus = (kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU)
    return [
        {"name": device["description"] or device["name"], "gpu": device["type"] in gpus}
        for device in xllamacpp.get_device_info()
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["--devices"]:
        print(json.dumps(devices()))
    else:
        main()
