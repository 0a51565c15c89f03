"""The API guide's section on errors: its example, and each row of its table, as body and as the SDK raises it."""

import json
import signal

import httpx
import openai
import pytest

from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out

EXAMPLE = """\
{
  "error": {
    "message": "No suitable node found for the requested model",
    "type": "invalid_request_error",
    "code": "model_not_available"
  }
}
"""


def refused(system, kind, **options):
    """The error of a request that fails, which is of just this class; its body is checked by hand too."""
    with pytest.raises(openai.APIStatusError) as caught:
        system.ask(**options)
    error = caught.value
    assert type(error) is kind, error
    body = error.response.json()["error"]
    assert body == error.body
    assert body.keys() == {"message", "type", "param", "code"}
    assert (error.code, error.type) == (body["code"], body["type"])
    return error.status_code, error.type, error.code, error.message


def test_the_example(network, fits):
    """Models there are, but none that satisfies what is asked for besides."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "route": {"min_params_b": 70}}
    headers = {"authorization": f"Bearer {network.api_key}"}
    reply = httpx.post(f"{network.url}/v1/chat/completions", json=body, headers=headers)
    example, found = json.loads(EXAMPLE), reply.json()
    assert fits(example, found), found
    assert reply.status_code == 404
    for member in ("type", "code"):
        assert found["error"][member] == example["error"][member]


def test_the_table(start_system):
    """In an order that needs one server: nobody is there, then a node that costs something, then one that hangs. Each
    message says what the guide has as the way out."""
    system = start_system(limits={"first_output_timeout_s": 0.5})
    invalid, server = "invalid_request_error", "server_error"

    wrong_key, wrong_url = (
        system.openai(api_key="lp_wrong"),
        system.openai(base_url=f"{system.url}/api/agent/at_wrong", api_key="x"),
    )
    for client, words in ((wrong_key, "API key"), (wrong_url, "token in the URL")):
        *error, message = refused(system, openai.AuthenticationError, client=client)
        assert error == [401, invalid, "invalid_api_key"]
        assert words in message or "copied" in message or "Copy" in message

    *error, message = refused(system, openai.InternalServerError)
    assert error == [503, server, "no_nodes_available"]
    assert "try again" in message
    assert httpx.get(f"{system.url}/api/status").json()["nodes_online"] == 0

    node = system.start_node("greeting", price="request=2")
    assert httpx.get(f"{system.url}/api/status").json()["nodes_online"] == 1
    *error, message = refused(system, openai.APIStatusError)
    assert error == [402, invalid, "insufficient_balance"]
    assert "Deposit" in message

    *error, message = refused(system, openai.NotFoundError, model="gpt-9")
    assert error == [404, invalid, "model_not_found"]
    assert '"auto"' in message
    assert "/v1/models" in message

    with system.running.server.database.transaction() as connection:
        account = get_account(connection, "test")
        carry_out(connection, [adjustment.credit(account.id, 10_000, "to spend")])
    node.engines[0].send(signal.SIGSTOP)
    *error, message = refused(system, openai.InternalServerError)
    assert error == [504, server, "inference_timeout"]
    assert "max_tokens" in message
    assert "smaller model" in message
