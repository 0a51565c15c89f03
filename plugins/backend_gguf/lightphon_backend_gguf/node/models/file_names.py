"""What the names of GGUF files say by convention: parts of a split model, projectors, quantizations. Pure."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q\d|TQ\d|[BF]?F16|F32|MXFP4|NVFP4)[A-Za-z0-9_]*)", re.IGNORECASE
)


class ChoiceError(Exception):
    """No file, or more than one, is meant. The message is one line for the operator."""


def models_among(names: Iterable[str]) -> list[str]:
    """The names that are a model of their own: GGUF files, of a split model the first part, and no projectors."""
    return sorted(
        name for name in names if name.lower().endswith(".gguf") and _is_first(name) and not is_projector(name)
    )


def is_projector(name: str) -> bool:
    """Whether the file holds what turns images into tokens for a model, and no model."""
    return "mmproj" in PurePosixPath(name).name.lower()


def stem(name: str) -> str:
    """The file's name without folder, `.gguf` and the number of the part."""
    file = PurePosixPath(name).name
    part = _PART.fullmatch(file)
    return part["stem"] if part else file[: -len(".gguf")] if file.lower().endswith(".gguf") else file


def parts_of(name: str) -> list[str]:
    """All files of the model of which `name` is a part, in order; the name alone where the model is not split."""
    path = PurePosixPath(name)
    part = _PART.fullmatch(path.name)
    if not part:
        return [name]
    count = int(part["count"])
    files = (f"{part['stem']}-{number:05d}-of-{part['count']}{path.suffix}" for number in range(1, count + 1))
    return [str(path.with_name(file)) for file in files]


def quantization_in(name: str) -> str | None:
    """The quantization that a name tells, in capitals, such as Q4_K_M; None if it tells none."""
    found = _QUANTIZATION.findall(stem(name))
    return str(found[-1]).upper() if found else None


def choose(names: Iterable[str], quantization: str | None) -> str:
    """The one model among a repository's files that has this quantization, or is the only one there.

    Raises ChoiceError, which lists what there is.
    """
    models = models_among(names)
    if not models:
        raise ChoiceError("it has no GGUF files")
    if quantization is None:
        fitting = models
    else:
        fitting = [name for name in models if quantization_in(name) == quantization.upper()]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(sorted({quantization_in(name) or name for name in models}))
    if not fitting:
        raise ChoiceError(f"it has no {quantization}; it has {there}")
    if quantization is None:
        raise ChoiceError(f"it has several models; add one of these after a colon: {there}")
    raise ChoiceError(f"several of its files are {quantization}; name one of them: {', '.join(fitting)}")


def _is_first(name: str) -> bool:
    part = _PART.fullmatch(PurePosixPath(name).name)
    return part is None or int(part["number"]) == 1
