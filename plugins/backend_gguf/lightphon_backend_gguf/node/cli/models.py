"""What `run` and `check` have in common: MODEL, the options for models, and the settings file."""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click
from attrs import fields

from lightphon_backend_gguf.node.cli.errors import Stop
from lightphon_backend_gguf.node.models.sources import HubSource
from lightphon_backend_gguf.node.planning.config import MEMORY_LIMITS_GIB, ConfigError, NodeConfig, default_path, load
from lightphon_backend_gguf.node.planning.locate import Located, locate
from lightphon_backend_gguf.node.planning.wishes import Given, Wish, WishError, wishes

SERVER_KEY_VARIABLE = "LIGHTPHON_OPENAI_KEY"

_OPTIONS = (
    click.argument("models", metavar="[MODEL]...", nargs=-1),
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"Settings file.  [default: {default_path({})}, if it exists]",
    ),
    click.option(
        "--mmproj",
        metavar="FILE",
        help="The second file of a MODEL that takes images: a path, or hf:OWNER/REPOSITORY/FILE.gguf. For one MODEL; "
        "for several, mmproj in their [[model]] of the settings file.",
    ),
    click.option("--name", "names", multiple=True, metavar="ID", help="Model id for clients; repeat for each MODEL."),
    click.option(
        "--price",
        metavar="SATS",
        help="Sats for a minute of inference, or any of minute=, prompt=, completion= (both for a million tokens) and "
        "request=, with commas between.  [default: the server's own price]",
    ),
    click.option(
        "--engine",
        metavar="NAME",
        help="What runs the models: llama.cpp, ctransformers, llama-server or llama-server=PATH.  [default: llama.cpp]",
    ),
    click.option("--slots", type=click.IntRange(1, 1024), help="Jobs at once, for each model.  [default: 2]"),
    click.option(
        "--context",
        type=click.IntRange(16, 2**31 - 1),
        help="Tokens for each job, prompt and answer.  [default: 8192, or the model's training length if that is less]",
    ),
    click.option(
        "--max-jobs", type=click.IntRange(1, 4096), help="Jobs at once, over all models.  [default: all slots]"
    ),
    click.option(
        "--memory-limit",
        type=click.FloatRange(*MEMORY_LIMITS_GIB),
        metavar="GIB",
        help="Start a model again when its engine holds more memory than so many GiB. What lies in a GPU's memory does "
        "not count.  [default: what fits the model]",
    ),
    click.option("--threads", type=click.IntRange(1, 512), help="CPU threads.  [default: one for each core]"),
)


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command MODEL and the options for models, which it gets as `given`, and --config and --threads."""

    @wraps(command)
    def gathering(**values: Any) -> None:
        given = Given(**{each.name: values.pop(each.name) for each in fields(Given)})
        command(given=given, **values)

    for option in reversed(_OPTIONS):
        gathering = option(gathering)
    return gathering


def server_key() -> str:
    """The key that servers of `openai:URL` want, where they want one."""
    return os.environ.get(SERVER_KEY_VARIABLE, "")


def settings(config: Path | None) -> NodeConfig:
    """The named settings file, or the usual one if it is there. Raises Stop."""
    path = config or default_path(os.environ)
    if config is None and not path.exists():
        return NodeConfig()
    try:
        return load(path)
    except ConfigError as error:
        raise Stop(str(error)) from None


def wished(given: Given, config: NodeConfig) -> list[Wish]:
    """The models that are to be served. Raises Stop."""
    try:
        return wishes(given, config)
    except WishError as error:
        raise Stop(str(error)) from None


def located(wanted: Sequence[Wish]) -> list[Located]:
    """The same, on this machine; models of the hub are downloaded, and progress is shown. Raises Stop."""
    try:
        return locate(wanted, _fetch)
    except WishError as error:
        raise Stop(str(error)) from None


def _fetch(source: HubSource) -> Path:
    # It loads slowly, and most nodes do not need it.
    from lightphon_backend_gguf.node.models.huggingface.errors import HubError
    from lightphon_backend_gguf.node.models.huggingface.hub import HubModels

    try:
        return HubModels(lambda line: click.echo(line, err=True)).fetch(source)
    except HubError as error:
        raise Stop(str(error)) from None
