"""The jobs that a hub has given to one node: their ids, and how many each offer works on."""

from attrs import define

from lightphon_backend_gguf.protocol.closing import ProtocolViolation


@define
class IssuedJob:
    """`sent` once the node knows of it; `cancelled` where nobody waits for it any more."""

    offer: str
    sent: bool = False
    cancelled: bool = False


class IssuedJobs:
    """Those that are not over. Ids start at 1 and are never used again."""

    def __init__(self) -> None:
        self._jobs: dict[int, IssuedJob] = {}
        self._busy: dict[str, int] = {}
        self._last = 0

    def issue(self, offer: str) -> int:
        """A new job; its id."""
        self._last += 1
        self._jobs[self._last] = IssuedJob(offer)
        self._busy[offer] = self.busy(offer) + 1
        return self._last

    def busy(self, offer: str) -> int:
        """How many there are of an offer."""
        return self._busy.get(offer, 0)

    def get(self, job: int) -> IssuedJob | None:
        """A job; None if it is over."""
        return self._jobs.get(job)

    def known(self, job: int) -> IssuedJob | None:
        """The same for an id that the node says. ProtocolViolation if the node was never told of it."""
        state = self._jobs.get(job)
        if job > self._last or (state is not None and not state.sent):
            raise ProtocolViolation("a job id that was never issued")
        return state

    def end(self, job: int) -> None:
        """A job is over."""
        offer = self._jobs.pop(job).offer
        left = self._busy[offer] - 1
        if left:
            self._busy[offer] = left
        else:
            del self._busy[offer]
