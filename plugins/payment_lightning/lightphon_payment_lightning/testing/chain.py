"""A Bitcoin chain of our own: bitcoind on regtest, and ElectrumX, which Electrum asks."""

from __future__ import annotations

from lightphon_core.testing.process import free_port
from lightphon_payment_lightning.testing.programs import PASSWORD, USER, Programs, Rpc, eventually


class Chain:
    """bitcoind, whose miner has coins, and an ElectrumX that follows it."""

    def __init__(self, programs: Programs) -> None:
        port, self.electrumx_port = free_port(), free_port()
        data = programs.folder / "bitcoin"
        data.mkdir()
        programs.start(
            "bitcoind",
            [
                programs.kit / "bitcoind",
                *(f"-datadir={data}", "-regtest", "-server", "-txindex", "-disablewallet=0", "-fallbackfee=0.0002"),
                *(f"-rpcuser={USER}", f"-rpcpassword={PASSWORD}", f"-rpcport={port}", "-rpcallowip=127.0.0.1"),
                *("-rpcbind=127.0.0.1", "-listen=0", "-dnsseed=0", "-discover=0", "-dbcache=16"),
            ],
        )
        self.rpc = Rpc(port)
        eventually(lambda: self.rpc.call("getblockcount") is not None, "bitcoind answers")
        self.rpc.call("createwallet", wallet_name="miner")
        self._address = self.rpc.call("getnewaddress")
        self.mine(101)
        programs.start(
            "electrumx",
            [programs.kit / "python/bin/electrumx_server"],
            COIN="Bitcoin",
            NET="regtest",
            DB_ENGINE="leveldb",
            DB_DIRECTORY=str(programs.folder),
            DAEMON_URL=f"http://{USER}:{PASSWORD}@127.0.0.1:{port}/",
            SERVICES=f"tcp://127.0.0.1:{self.electrumx_port}",
            PEER_DISCOVERY="off",
            PEER_ANNOUNCE="",
            ALLOW_ROOT="1",
            COST_SOFT_LIMIT="0",
            COST_HARD_LIMIT="0",
            CACHE_MB="32",
            # Milliseconds between looks at bitcoind: with the usual five seconds a channel opens after a minute.
            DAEMON_POLL_INTERVAL_BLOCKS="200",
            DAEMON_POLL_INTERVAL_MEMPOOL="200",
        )

    def mine(self, blocks: int) -> None:
        self.rpc.call("generatetoaddress", nblocks=blocks, address=self._address)

    def send(self, address: str, bitcoins: int) -> None:
        self.rpc.call("sendtoaddress", address=address, amount=bitcoins)
