"""`lightphon key`, `agent-token` and `node-token`: the same three commands for each kind of credential."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

import click
from attrs import frozen

from lightphon_core.accounts import credentials, people
from lightphon_core.accounts.credentials import Credential
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import Terms, check_gateway
from lightphon_core.cli.options import json_option, open_database, print_json, settings_options
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.cli.terms import terms_as_json, terms_in_words, terms_options
from lightphon_core.ledger.budgets import Budget, budgets_of, set_budgets
from lightphon_core.ledger.periods import Period
from lightphon_core.ledger.usage import last_answers
from lightphon_core.plugins import Plugins, installed
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Connection
from lightphon_core.storage.schema import microseconds


@frozen
class Standing:
    """A credential, how its budgets stand, and the day (UTC) of the last answer that it got."""

    credential: Credential
    budgets: Sequence[Budget]
    last_answer_on: date | None


def credential_group(kind: Kind, name: str, purpose: str) -> click.Group:
    """The group `lightphon <name>` for credentials of one kind."""

    @click.group(name=name, help=f"Create, list and revoke {kind.words}s: {purpose}.")
    def group() -> None:
        pass

    @group.command(help=f"Create a new {kind.words}. It is shown once.")
    @click.option("--account", "account_name", required=True, metavar="NAME", help="Account that it acts for.")
    @terms_options(kind)
    @json_option
    @settings_options
    def create(account_name: str, terms: Terms, budgets: dict[Period, int], as_json: bool, settings: Settings) -> None:
        if terms.used_by is not None:
            used = settings.plugins
            check_gateway(terms.used_by, Plugins(installed(), allow=used.allow, block=used.block, order=()).gateways())
        with open_database(settings) as database, database.transaction() as connection:
            account = people.get_account(connection, account_name)
            made, secret = credentials.create_credential(connection, account, kind, now=time.time(), terms=terms)
            set_budgets(connection, made.id, budgets)
            (standing,) = _standings(connection, [made])
        if as_json:
            print_json({**_as_json(standing), "secret": secret, **_path(kind, secret)})
            return
        use = terms_in_words(made, standing.budgets)
        click.echo(f"New {kind.words} of {made.account} ({made.id}), for {use}:\n\n    {secret}\n")
        if path := _path(kind, secret):
            click.echo(f"As the path of a base URL:\n\n    {path['path']}\n")
        click.echo("This is the only time it is shown. Keep it somewhere safe.")

    @group.command(name="list", help=f"List {kind.words}s. What is shown of each are its last four characters.")
    @click.option("--account", "account_name", metavar="NAME", help="Only those of this account.")
    @json_option
    @settings_options
    def list_(account_name: str | None, as_json: bool, settings: Settings) -> None:
        with open_database(settings) as database, database.transaction() as connection:
            account = None if account_name is None else people.get_account(connection, account_name)
            account_id = None if account is None else account.id
            found = credentials.list_credentials(connection, kind=kind, account_id=account_id)
            standings = _standings(connection, found)
        if as_json:
            print_json({"credentials": [_as_json(each) for each in standings]})
        elif standings:
            now = microseconds(time.time())
            rows = [_row(each, now) for each in standings]
            print_table(list(rows[0]), [list(row.values()) for row in rows])
        else:
            click.echo(f"No {kind.words}s in {database.name}.", err=True)

    @group.command(help=f"Revoke the {kind.words} ID, for good. Revoking it again changes nothing.")
    @click.argument("id_", metavar="ID")
    @json_option
    @settings_options
    def revoke(id_: str, as_json: bool, settings: Settings) -> None:
        with open_database(settings) as database, database.transaction() as connection:
            revoked = credentials.revoke_credential(connection, kind, id_, now=time.time())
            (standing,) = _standings(connection, [revoked])
        if as_json:
            print_json(_as_json(standing))
        else:
            click.echo(f"The {kind.words} {revoked.id} of {revoked.account} is revoked.")

    return group


def _path(kind: Kind, secret: str) -> dict[str, str]:
    return {"path": f"/api/agent/{secret}"} if kind is Kind.AGENT_TOKEN else {}


def _standings(connection: Connection, found: Sequence[Credential]) -> list[Standing]:
    ids = [each.id for each in found]
    budgets, answered = budgets_of(connection, ids), last_answers(connection, ids)
    return [Standing(each, budgets[each.id], answered.get(each.id)) for each in found]


def _as_json(standing: Standing) -> dict[str, Any]:
    credential, last = standing.credential, standing.last_answer_on
    return {
        "id": credential.id,
        "kind": credential.kind.value,
        "account": credential.account,
        "account_id": credential.account_id,
        "hint": credential.hint,
        "created_at": iso_time(credential.created_at),
        "revoked_at": iso_time(credential.revoked_at),
        "last_answer_on": None if last is None else last.isoformat(),
        **terms_as_json(credential, standing.budgets),
    }


def _row(standing: Standing, now: int) -> dict[str, str]:
    """By column; times to the day, so that a table fits. A node token gets no answers."""
    credential, last = standing.credential, standing.last_answer_on
    row = {
        "ID": credential.id,
        "ACCOUNT": credential.account,
        "NAME": credential.terms.name,
        "SECRET ENDS": credential.hint,
        "CREATED": (iso_time(credential.created_at) or "").partition("T")[0],
    }
    if credential.kind is not Kind.NODE_TOKEN:
        row["LAST ANSWER"] = "never" if last is None else last.isoformat()
    return {**row, "STATE": _state(credential, now), "FOR": terms_in_words(credential, standing.budgets)}


def _state(credential: Credential, now: int) -> str:
    if credential.revoked_at is not None:
        return f"revoked {iso_time(credential.revoked_at)}"
    if credential.blocked_at is not None:
        return "account blocked"
    ends = credential.terms.expires_at
    if ends is None:
        return "valid"
    return f"valid until {iso_time(ends)}" if ends > now else f"expired {iso_time(ends)}"


key = credential_group(Kind.API_KEY, "key", "what clients send as a bearer token")
agent_token = credential_group(Kind.AGENT_TOKEN, "agent-token", "what clients have in their base URL")
node_token = credential_group(Kind.NODE_TOKEN, "node-token", "what a GPU node connects with")
