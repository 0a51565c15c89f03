"""What is passed on where the wallet covers no more."""

import json
from types import SimpleNamespace

import pytest

from lightphon_core.openai.chunks import Envelope, read
from lightphon_core.openai.forms import TEXT, VECTORS
from lightphon_core.openai.vectors import Wanted, read_vectors
from lightphon_core.serving.meter import Bounds, Meter
from lightphon_core.serving.relay import relay
from lightphon_core.serving.sinks import VectorSink, WholeSink
from lightphon_core.testing.scripted import vectors_of


class Empty:
    """The tab of a wallet that is."""

    async def covers(self, measured):
        return False


class Over:
    async def next(self):
        return None


def started(*chunks):
    bounds = Bounds(prompt_tokens=9, aborted_prompt=1, completion_tokens=9)
    return SimpleNamespace(meter=Meter(bounds, 0.0), tab=Empty(), first=list(chunks), work=Over())


async def relayed(sink, work):
    await relay(work, sink, n=1, form=sink.envelope.form, monotonic=lambda: 4.0)
    sink.finish({}, {})
    return json.loads(sink.body)


@pytest.fixture
def text():
    return read(b'{"choices":[{"index":0,"text":"more than there is money for"}]}', form=TEXT)


async def test_a_text_ends_with_length(text):
    answer = await relayed(WholeSink(Envelope("i", "m", 1, TEXT)), started(text))
    assert [(each["text"], each["finish_reason"]) for each in answer["choices"]] == [("", "length")]


async def test_vectors_are_never_cut_off():
    """They come all at once, so the last of a wallet pays for them: the charge is never above what was set aside."""
    work = started(read_vectors(vectors_of(["one"]), Wanted(1)))
    answer = await relayed(VectorSink(Envelope("i", "m", 1, VECTORS)), work)
    assert [each["embedding"] for each in answer["data"]] == [[3.0, 111.0, 1.0, -0.5]]
    assert work.meter.claimed is not None, "what was passed on is charged"
