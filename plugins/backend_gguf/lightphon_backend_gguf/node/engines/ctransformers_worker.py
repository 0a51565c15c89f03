"""One model in ctransformers behind OpenAI's interface, in a process of its own. Run by `ctransformers.py`.

Standard input: one line of JSON, `CTransformersSettings` and the key. Otherwise as `llamacpp_worker`.
"""

import asyncio
import json
import sys
import threading
from pathlib import Path

from lightphon_backend_gguf.node.engines.completions import Completions
from lightphon_backend_gguf.node.engines.ctransformers_model import NativeModel
from lightphon_backend_gguf.node.engines.loopback import listen
from lightphon_backend_gguf.node.engines.templates import ChatTemplate, TemplateFailed
from lightphon_backend_gguf.node.engines.worker import begin, wait_for_end


def main() -> None:
    spec, reports = begin()
    try:
        model = NativeModel(
            Path(spec["path"]), context=spec["context"], threads=spec["threads"], gpu_layers=spec["gpu_layers"]
        )
        template = ChatTemplate(model.template, model.tokens) if isinstance(model.template, str) else None
    except (RuntimeError, OSError, ValueError, TemplateFailed) as error:
        print(json.dumps({"error": str(error)}), file=reports, flush=True)
        sys.exit(3)

    async def serve() -> None:
        completions = Completions(model, template, spec["alias"])
        server, url = await listen(spec["key"], completions.answer)
        print(json.dumps({"url": url}), file=reports, flush=True)
        await server.serve_forever()

    threading.Thread(target=wait_for_end, daemon=True).start()
    asyncio.run(serve())


if __name__ == "__main__":
    main()
