"""What the demo prints when it is ready: commands to paste."""

from __future__ import annotations

DEPOSIT_SATS = 100


def instructions(server: str, api_key: str, administrator: str, password: str, *, registers: bool) -> str:
    """Where to look, and a first request, with curl and with OpenAI's SDK. `registers`: anybody may."""
    base_url = f"{server}/v1"
    or_register = ", or register" if registers else ""
    return f"""\
Base URL  {base_url}
API key   {api_key}
Web app   {server}/ (log in as {administrator} with {password}{or_register})

curl {base_url}/chat/completions -H "Authorization: Bearer {api_key}" -H "Content-Type: application/json" \
-d '{{"model": "auto", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

from openai import OpenAI
client = OpenAI(base_url="{base_url}", api_key="{api_key}")
reply = client.chat.completions.create(model="auto", messages=[{{"role": "user", "content": "Hello!"}}])
print(reply.choices[0].message.content)"""


def money_instructions(server: str, api_key: str, owner_key: str) -> str:
    """From a deposit to the earnings of the node's owner, in play money."""
    return f"""
Play money, which is worth nothing: open a deposit, pay its invoice, ask (as above), see what the node's owner earned.

export LIGHTPHON_URL={server} LIGHTPHON_API_KEY={api_key}
lightphon deposit open {DEPOSIT_SATS}
lightphon demo-wallet pay INVOICE
curl {server}/api/wallet -H "Authorization: Bearer {owner_key}"
"""
