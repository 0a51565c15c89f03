"""A server that pays an invoice, says its ref and then hangs: `dying_server.py URL DATA_DIR ACCOUNT INVOICE`."""

import asyncio
import sys
from pathlib import Path

import structlog

from lightphon_core.payments.payouts.reconciliation import Reconciliation
from lightphon_core.payments.payouts.runner import PayoutRunner
from lightphon_core.payments.payouts.sent_log import RestoreMark, SentLog
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.payments.payouts.submission import Submission
from lightphon_core.settings import PayoutSettings
from lightphon_core.storage.engine import Database
from lightphon_core.testing.payouts.scripted import ScriptedPayouts


class Clock:
    """The tests' time."""

    def now(self):
        return 1_800_000_000.0

    monotonic = now


class Hanging(ScriptedPayouts):
    async def pay(self, payment):
        print(payment.ref, flush=True)
        await asyncio.Event().wait()


async def main(url, data_dir, account, invoice):
    log, clock = structlog.stdlib.get_logger("dying"), Clock()
    with Database(url) as database:
        payouts = Payouts(database, [Hanging(clock=clock)], PayoutSettings(fee_base=10_000, fee_bps=0), clock)
        sent_log = SentLog(data_dir)
        submission = Submission(database, payouts.providers, sent_log, clock, log, print)
        mark = RestoreMark(data_dir)
        runner = PayoutRunner(
            payouts, submission, Reconciliation(database, payouts.providers, sent_log, mark, clock), log
        )
        await payouts.ask(account, invoice, None)
        await asyncio.gather(*await runner.turn())


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
