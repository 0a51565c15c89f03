"""What would run on this machine, and whether it would: the judgement behind `lightphon-node check`. Pure."""

import re
from collections.abc import Sequence

from attrs import frozen

from lightphon_backend_gguf.node.engines.installed import Installed
from lightphon_backend_gguf.node.operator.price import price_text
from lightphon_backend_gguf.protocol.account import PriceMessage
from lightphon_backend_gguf.protocol.hardware import Hardware, Machine
from lightphon_backend_gguf.protocol.messages import ModelFacts

WORKING_BYTES = 256 * 2**20
"""What an engine takes beside weights and cache, roughly: buffers for what it computes, and the program itself."""

_VARIANTS = (
    (r"nvidia|geforce|quadro|tesla|\brtx\b|\bgtx\b", "cu128"),
    (r"\bamd\b|radeon|instinct", "rocm"),
    (r"intel|\barc\b", "vulkan"),
)
"""Words in the names of GPUs, and the build of the engine for them."""


@frozen
class ModelReport:
    """One model: what clients will call it, where it is, and what is known of it before it is loaded.

    `weights` and `cache` are bytes, the cache for all slots together; None where they are not known. `memory_limit` is
    the operator's, in bytes; `mmproj` where its projector for images is. `problem` is why it cannot be served, as a
    sentence; `note` what else there is to know.
    """

    id: str
    place: str
    facts: ModelFacts | None = None
    engine: str | None = None
    slots: int | None = None
    weights: int | None = None
    cache: int | None = None
    memory_limit: int | None = None
    price: PriceMessage | None = None
    mmproj: str | None = None
    problem: str | None = None
    note: str | None = None

    @property
    def memory(self) -> int | None:
        """Bytes that the model will take, roughly."""
        return None if self.weights is None else self.weights + (self.cache or 0) + WORKING_BYTES


@frozen
class Report:
    """Everything that `check` tells. `engines` are those that would run. Nothing stands in the way where there are no
    `problems`."""

    hardware: Hardware
    machine: Machine
    engines: tuple[Installed, ...]
    models: tuple[ModelReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def judge(
    hardware: Hardware,
    machine: Machine,
    engines: Sequence[Installed],
    models: Sequence[ModelReport],
    *,
    python: str,
    more: Sequence[str] = (),
) -> Report:
    """Put together what was found. `engines` are those that would run, none where all models are of servers that run
    already. `python` is the interpreter that they are installed for; `more` are problems that were found before."""
    problems = [*more, *(f"{model.place}: {model.problem}" for model in models if model.problem)]
    notes = [f"{model.place}: {model.note}" for model in models if model.note]
    on_gpu = any(engine.gpus for engine in engines)
    for engine in engines:
        if engine.problem:
            remedy = f" Install it with: {python} -m pip install {engine.requirement}" if engine.requirement else ""
            problems.append(f"{engine.name}: {engine.problem}.{remedy}")
        elif hardware.gpus and not on_gpu and engine.gpus is not None:
            problems.append(gpu_advice([gpu.name for gpu in hardware.gpus], engine, python))
    if all(engine.gpus == () for engine in engines):
        # What lies in a GPU's memory is not counted.
        problems += filter(None, map(_too_little, models))
    needed = sum(model.memory or 0 for model in models)
    of_gpus = sum(gpu.memory_bytes or 0 for gpu in hardware.gpus) if on_gpu else 0
    if of_gpus and needed > of_gpus:
        notes.append(f"The models take about {gib(needed)}, the GPUs have {gib(of_gpus)}: the CPU computes the rest.")
    there = of_gpus + (hardware.memory_bytes or 0)
    if hardware.memory_bytes and needed > there:
        problems.append(
            f"The models take about {gib(needed)}, and there are {gib(there)}. "
            "Take a smaller one or a smaller quantization, fewer --slots or a shorter --context."
        )
    return Report(hardware, machine, tuple(engines), tuple(models), tuple(problems), tuple(notes))


def _too_little(model: ModelReport) -> str | None:
    """What is wrong with the limit on a model's memory."""
    if model.memory_limit is None or model.memory is None or model.memory <= model.memory_limit:
        return None
    return (
        f"{model.place}: the limit on its memory is {gib(model.memory_limit)}, and it takes about {gib(model.memory)}: "
        "it would be started again and again. Raise --memory-limit, or take fewer --slots or a shorter --context."
    )


def gpu_advice(gpus: Sequence[str], engine: Installed, python: str) -> str:
    """What to do where there is a GPU that the engine does not use."""
    names = ", ".join(gpus)
    there = f"There is a GPU ({names}), but"
    match engine.name:
        case "ctransformers":
            return f"{there} ctransformers computes with the CPU alone. To use it, try llama.cpp: leave --engine out."
        case "llama-server":
            return f"{there} {engine.package} computes with the CPU alone. To use it, take one that was built for it."
    advice = _build_for(names, engine, python)
    return (
        f"{there} this build of {engine.name} computes with the CPU alone. To use it, {advice} "
        "- or run a server that uses it already (llama-server, Ollama, vLLM, LM Studio), and serve openai:URL."
    )


def _build_for(gpus: str, engine: Installed, python: str) -> str:
    """Which wheel of an engine uses these GPUs, and how to install it."""
    variant = next((build for words, build in _VARIANTS if re.search(words, gpus.lower())), None)
    if variant is None:
        return f"install a build of {engine.package} that can use it"
    where = f" ({engine.homepage})" if engine.homepage else ""
    return (
        f"install the build {variant} of {engine.package}; the project's README{where} says where its wheels are: "
        f"{python} -m pip install --force-reinstall --no-deps ADDRESS-OF-THE-{variant.upper()}-WHEEL"
    )


def gib(amount: int) -> str:
    """Bytes for people."""
    return f"{amount / 2**30:.1f} GiB"


def lines(report: Report) -> list[str]:
    """The report for a terminal."""
    hardware, machine = report.hardware, report.machine
    free = "" if machine.memory_free is None else f", {gib(machine.memory_free)} free"
    gpus = [f"{gpu.name}{f', {gib(gpu.memory_bytes)}' if gpu.memory_bytes else ''}" for gpu in hardware.gpus]
    said = [
        "Machine",
        f"  CPU     {hardware.cpu or 'unknown'}, {hardware.cores or 'unknown'} cores",
        f"  memory  {gib(hardware.memory_bytes) if hardware.memory_bytes else 'unknown'}{free}",
        *(f"  GPU     {gpu}" for gpu in gpus or ["none found"]),
    ]
    if report.engines:
        said += ["Engine", *map(_engine_line, report.engines)]
    if report.models:
        said.append("Models")
    for model in report.models:
        said += _model_lines(model)
    said += [f"Note: {note}" for note in report.notes]
    said += [f"Problem: {problem}" for problem in report.problems]
    return ["".join(c if c.isprintable() else "?" for c in line) for line in said]


def _engine_line(engine: Installed) -> str:
    if engine.problem:
        uses = engine.problem
    elif engine.gpus is None:
        uses = "does not tell whether it uses a GPU"
    else:
        uses = f"uses {', '.join(engine.gpus)}" if engine.gpus else "CPU only"
    return f"  {engine.name}  {' '.join(filter(None, (engine.package, engine.version)))}, {uses}"


def _model_lines(model: ModelReport) -> list[str]:
    said = [f"  {model.id}", f"    from    {model.place}"]
    if model.mmproj is not None:
        said.append(f"    images  {model.mmproj}")
    if model.facts is not None:
        facts = model.facts
        size = None if facts.params_b is None else f"{facts.params_b:.3g} billion parameters"
        told = [word for word in (facts.architecture, size, facts.quantization) if word]
        said.append(f"    model   {', '.join(told) or 'unknown'}; can do {', '.join(facts.capabilities)}")
        said.append(f"    serves  {model.slots} jobs at once, {facts.context_length or 'unknown'} tokens each")
    if model.weights is not None:
        cache = "" if model.cache is None else f" + {gib(model.cache)} for the cache"
        limit = "" if model.memory_limit is None else f"; started again above {gib(model.memory_limit)}"
        said.append(f"    memory  {gib(model.weights)} of weights{cache}{limit}")
    if model.problem is None:
        price = "the server's own" if model.price is None else price_text(model.price)
        said.append(f"    price   {price}")
    return said
