"""Every error LightPhon raises on purpose. Knows no HTTP: `web/errors.py` says how each one looks to a client.

LightPhonError
├── ConfigurationError         the operator's to mend, found before anything is served
│   ├── SettingsError          a settings file or environment variable is wrong
│   ├── PluginError            a plugin failed to import, build, register or start
│   └── StorageError           the database cannot be used as it is
├── RequestError               the client's to mend; trying again unchanged fails again
│   ├── InvalidRequest         the body is not what the endpoint takes
│   │   ├── BodyTooLarge
│   │   ├── ContextLengthExceeded
│   │   └── NotFound           what an id of the request names is not there, or not theirs
│   ├── BodyTooSlow            the body did not arrive in time
│   ├── InsufficientBalance    the wallet does not cover the request
│   │   ├── BalanceOwed        the account owes money, which is to be settled first
│   │   ├── BudgetExceeded     the wallet might, but the key may not spend so much
│   │   └── NotWithdrawable    the wallet might, but not with money that may leave
│   ├── Unauthenticated        no credential, or one that is not valid
│   ├── PermissionDenied       a valid credential that may not do this
│   ├── ModelNotFound          nobody ever offered a model of this id
│   └── ModelNotAvailable      models exist, but none satisfies the filters
├── TemporaryError             nobody's fault; the same request may pass later
│   ├── BalanceOnHold          wallet or budget would cover the request, but for what is set aside for others
│   ├── RateLimited            too often, or too much at once
│   ├── NoNodesAvailable       a known model, whose nodes are all offline, busy or failing
│   ├── ServerBusy             the requests under way hold all the memory that there is for bodies
│   ├── StorageUnavailable     the database does not answer
│   ├── RateUnavailable        nobody knows what a bitcoin costs now
│   └── ProviderUnavailable    a payment provider does not answer, or not as it should
│       └── NotSent            ... and a payment has surely not left
└── BackendError               raised by `Backend.serve`
    ├── Refused                the request's fault: another offer would refuse it too, so it is never retried
    ├── Overloaded             this offer is full
    ├── Unavailable            this offer is gone, broken, or broke off
    └── TimedOut               this offer is too slow
"""

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightphon_core.types import Standing


class LightPhonError(Exception):
    """Base of the tree. `message` is one sentence or two, fit to be shown to whoever caused or must mend it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


_OTHERS = "Run this as the user that LightPhon runs as."
_WHAT_TO_DO = {
    errno.EACCES: _OTHERS,
    errno.EPERM: _OTHERS,
    errno.ENOSPC: "Free some space there.",
    errno.EDQUOT: "Free some space there.",
    errno.EROFS: "Choose a place that can be written to.",
    errno.EEXIST: "A file is in the place of a directory.",
    errno.ENOTDIR: "A file is in the place of a directory.",
}


def said_by(error: OSError) -> str:
    """Why the system refused, in a sentence, and what to do about it in another, where that is known."""
    said = f"{error.strerror or type(error).__name__}."
    return f"{said} {advice}" if (advice := _WHAT_TO_DO.get(error.errno or 0)) else said


class ConfigurationError(LightPhonError):
    """The operator's to mend; raised before anything is served."""


class SettingsError(ConfigurationError):
    """A settings file, an environment variable or a secret that one of them names is missing or wrong."""


class PluginError(ConfigurationError):
    """A plugin that cannot be used. `plugin` is its name; the cause, where there is one, is `__cause__`."""

    def __init__(self, plugin: str, message: str) -> None:
        super().__init__(f"Plugin {plugin!r}: {message}")
        self.plugin = plugin


class StorageError(ConfigurationError):
    """The database exists but cannot be used as it is: a newer schema, or no right to write."""


class RequestError(LightPhonError):
    """The client's to mend.

    `param` names the field of the request that is at fault; `code` is OpenAI's machine-readable word for it.
    """

    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        if code is not None:
            self.code = code


class InvalidRequest(RequestError):
    """The body is not what the endpoint takes."""


class BodyTooLarge(InvalidRequest):
    """The body is over the operator's limit."""

    code = "request_too_large"


class NotFound(InvalidRequest):
    """What the request names by its id is not there, or is not for whoever asks: both are told in the same words."""

    code = "not_found"


class BodyTooSlow(RequestError):
    """The body did not arrive whole within the operator's time."""

    code = "request_timeout"


class ContextLengthExceeded(InvalidRequest):
    """The prompt does not fit the context of any model that could serve it."""

    code = "context_length_exceeded"


class InsufficientBalance(RequestError):
    """The wallet does not cover the request."""

    code = "insufficient_balance"


class BalanceOwed(InsufficientBalance):
    """The account owes money, as after a payment that was taken back: nothing that costs, and no payout, before it is
    settled."""

    code = "balance_owed"

    def __init__(self, owed: str) -> None:
        super().__init__(
            f"This account owes {owed} sats: a payment to it was taken back, or a payout was found again. Deposit as "
            "much, and it is settled."
        )


class BudgetExceeded(InsufficientBalance):
    """The budget of the key does not cover the request, whatever the wallet has."""

    code = "budget_exceeded"


class NotWithdrawable(InsufficientBalance):
    """The wallet has less that can be withdrawn; money that was granted, or came by card, can only be spent."""


class Unauthenticated(RequestError):
    """No credential, or one that is unknown or revoked."""

    code = "invalid_api_key"


class PermissionDenied(RequestError):
    """A valid credential whose scopes do not cover what was asked."""

    code = "permission_denied"


class ModelNotFound(RequestError):
    """No backend has ever offered a model of this id."""

    code = "model_not_found"


class ModelNotAvailable(RequestError):
    """No model on offer satisfies the filters that the request, or its key, asks for."""

    code = "model_not_available"


class TemporaryError(LightPhonError):
    """The same request may pass later. `retry_after` is how many seconds to wait before trying again."""

    code: str

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BalanceOnHold(TemporaryError):
    """The wallet, or the key's budget, covers the request, but part of it is set aside for requests under way."""

    code = "balance_on_hold"


class RateLimited(TemporaryError):
    """Asked for too often, or too much at once. `standings` are those of the limits a minute that were looked at."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float, standings: "Sequence[Standing]" = ()) -> None:
        super().__init__(message, retry_after=retry_after)
        self.standings = standings


class NoNodesAvailable(TemporaryError):
    """The model is known, but every node that has it is offline, busy or failing."""

    code = "no_nodes_available"


class ServerBusy(TemporaryError):
    """The requests under way hold as much of their bodies as the operator's limit allows."""

    code = "server_busy"


class StorageUnavailable(TemporaryError):
    """The database does not answer."""

    code = "storage_unavailable"


class RateUnavailable(TemporaryError):
    """What a bitcoin costs in the currency that was asked for is not known, or not known any more."""

    code = "rate_unavailable"

    def __init__(self, message: str, *, retry_after: float = 60) -> None:
        super().__init__(message, retry_after=retry_after)


class ProviderUnavailable(TemporaryError):
    """A payment provider does not answer, or not as it should. What it was asked for may have happened all the same.

    `message` reaches whoever asked, so it names no address, path or secret.
    """

    code = "payment_provider_unavailable"

    def __init__(self, message: str, *, retry_after: float = 10) -> None:
        super().__init__(message, retry_after=retry_after)


class NotSent(ProviderUnavailable):
    """Raised by `PayoutProvider.pay` where the wallet has surely not been asked: no connection could be made."""


class BackendError(LightPhonError):
    """Raised by `Backend.serve`. `message` reaches the client, so it names no address, path or secret."""


class Refused(BackendError):
    """The upstream judged the request itself to be wrong. Ends the request; no other offer is tried.

    `param` and `code` are passed on to the client, as in `RequestError`.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class Overloaded(BackendError):
    """The offer has no free slot. `retry_after` is the upstream's own estimate in seconds, if it gave one."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(BackendError):
    """The offer is gone, broken, or broke off in the middle."""


class TimedOut(BackendError):
    """The offer did not answer in time."""
