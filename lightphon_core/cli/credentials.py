"""`lightphon key`, `agent-token` and `node-token`: the same three commands for each kind of credential."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from lightphon_core.accounts import credentials, people
from lightphon_core.accounts.credentials import Credential
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import Terms, check_gateway
from lightphon_core.cli.options import json_option, open_database, print_json, settings_options
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.cli.terms import terms_as_json, terms_in_words, terms_options
from lightphon_core.ledger.budgets import Budget, budgets_of, set_budgets
from lightphon_core.ledger.periods import Period
from lightphon_core.plugins import Plugins, installed
from lightphon_core.settings import Settings
from lightphon_core.storage.schema import microseconds

HEAD = ("ID", "ACCOUNT", "NAME", "SECRET ENDS", "CREATED", "STATE", "FOR")


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
            standing = budgets_of(connection, [made.id])
        if as_json:
            print_json({**_as_json(made, standing), "secret": secret, **_path(kind, secret)})
            return
        use = terms_in_words(made, standing[made.id])
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
            standing = budgets_of(connection, [each.id for each in found])
        if as_json:
            print_json({"credentials": [_as_json(each, standing) for each in found]})
        elif found:
            now = microseconds(time.time())
            print_table(HEAD, [_row(each, standing[each.id], now) for each in found])
        else:
            click.echo(f"No {kind.words}s in {database.name}.", err=True)

    @group.command(help=f"Revoke the {kind.words} ID, for good. Revoking it again changes nothing.")
    @click.argument("id_", metavar="ID")
    @json_option
    @settings_options
    def revoke(id_: str, as_json: bool, settings: Settings) -> None:
        with open_database(settings) as database, database.transaction() as connection:
            revoked = credentials.revoke_credential(connection, kind, id_, now=time.time())
            standing = budgets_of(connection, [revoked.id])
        if as_json:
            print_json(_as_json(revoked, standing))
        else:
            click.echo(f"The {kind.words} {revoked.id} of {revoked.account} is revoked.")

    return group


def _path(kind: Kind, secret: str) -> dict[str, str]:
    return {"path": f"/api/agent/{secret}"} if kind is Kind.AGENT_TOKEN else {}


def _as_json(credential: Credential, standing: Mapping[str, list[Budget]]) -> dict[str, Any]:
    return {
        "id": credential.id,
        "kind": credential.kind.value,
        "account": credential.account,
        "account_id": credential.account_id,
        "hint": credential.hint,
        "created_at": iso_time(credential.created_at),
        "revoked_at": iso_time(credential.revoked_at),
        **terms_as_json(credential, standing[credential.id]),
    }


def _row(credential: Credential, budgets: Sequence[Budget], now: int) -> tuple[str, ...]:
    return (
        credential.id,
        credential.account,
        credential.terms.name,
        credential.hint,
        iso_time(credential.created_at) or "",
        _state(credential, now),
        terms_in_words(credential, budgets),
    )


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
