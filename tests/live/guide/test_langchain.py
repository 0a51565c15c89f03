"""The API guide's block for LangChain. `.ci/client-tests` installs its package."""

import pytest

BLOCK = """\
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(
    base_url="https://lightphon.com/v1",
    api_key="your-api-key",
    model="auto"
)
print(llm.invoke("Explain Lightning in 2 lines").content)
"""


@pytest.mark.clients
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the block does not close its client
def test_langchain(adapted, run_python, answer):
    assert run_python(adapted(BLOCK)) == f"{answer}\n"
