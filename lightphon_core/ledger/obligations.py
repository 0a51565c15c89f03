"""What still binds an account to the house: nobody leaves before it is settled."""

from __future__ import annotations

from sqlalchemy import Connection, or_, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.statement import balances_of
from lightphon_core.money import sats
from lightphon_core.storage.schema import holds


def obligations_of(connection: Connection, account: str) -> list[str]:
    """One sentence for each kind of obligation of the account of this id; none where it is free to go."""
    found = balances_of(connection, chart.personal(account))
    amounts = {name: amount for name, (amount, _) in found.items() if amount}
    reasons = []
    concerned = select(holds.c.id).where(or_(holds.c.account_id == account, holds.c.payee == account)).limit(1)
    if connection.execute(concerned).first() is not None:
        reasons.append("Answers are under way that are yet to be charged or paid.")
    if left := sum(amounts.get(name, 0) for name in chart.wallets(account)):
        reasons.append(f"The wallet still has {sats(left)} sats: spend or withdraw them, or give them up.")
    if pending := sum(amount for name, amount in amounts.items() if name.startswith(chart.EARNINGS)):
        reasons.append(f"{sats(pending)} sats of earnings are pending.")
    if leaving := amounts.get(chart.payout(account)):
        reasons.append(f"{sats(leaving)} sats are being paid out.")
    if owed := amounts.get(chart.receivable(account)):
        reasons.append(f"{sats(abs(owed))} sats are owed.")
    return reasons
