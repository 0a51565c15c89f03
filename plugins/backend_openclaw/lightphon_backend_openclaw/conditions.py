"""How a server is found, in words for its operator. Pure."""

from enum import StrEnum

from lightphon_backend_openclaw.settings import Kind

REFRESHES_APART = 30.0
"""Seconds that looks at a server that is not well are apart at most."""


class Condition(StrEnum):
    """UNREACHABLE: nothing listens. SILENT: it did not answer in time, or broke off. ENDPOINT_OFF: 404. KEY: 401 or
    403. PAYMENT: 402. STRANGE: any other answer that is of no use."""

    WELL = "well"
    UNREACHABLE = "unreachable"
    SILENT = "silent"
    ENDPOINT_OFF = "endpoint off"
    KEY = "key refused"
    PAYMENT = "payment required"
    STRANGE = "strange answer"


def condition_of(status: int) -> Condition:
    """What the status of an answer says of the server, apart from the request."""
    match status:
        case 401 | 403:
            return Condition.KEY
        case 402:
            return Condition.PAYMENT
        case 404 | 405:
            return Condition.ENDPOINT_OFF
    return Condition.WELL if status == 200 else Condition.STRANGE


def advice(condition: Condition, kind: Kind) -> str:
    """What the operator may do about it."""
    openclaw = kind is Kind.OPENCLAW
    match condition:
        case Condition.UNREACHABLE | Condition.SILENT:
            return "Start it, or mend its base_url. It is looked for again by itself."
        case Condition.ENDPOINT_OFF if openclaw:
            return "Set gateway.http.endpoints.chatCompletions.enabled to true in openclaw.json, and restart OpenClaw."
        case Condition.ENDPOINT_OFF:
            return "It has no OpenAI API at this address: mend its base_url."
        case Condition.KEY if openclaw:
            return "Set api_key (OPENCLAW_API_KEY) to the token of its gateway: gateway.auth.token in openclaw.json."
        case Condition.KEY:
            return "Set api_key to a key that it takes."
        case Condition.PAYMENT:
            return "Its own provider asks for payment: fill the account behind it."
        case Condition.STRANGE:
            return "Look at its log, and at its base_url."
    return ""


def tolerated(condition: Condition) -> int:
    """How many looks in a row may find this while the last list still counts: a server that is busy is not gone."""
    return 1 if condition in (Condition.SILENT, Condition.STRANGE) else 0


def next_look_s(found_ill: int, refresh_s: float) -> float:
    """Seconds until the next look, after so many in a row that found it not well: 1, 2, 4 and so on, then steadily."""
    if not found_ill:
        return refresh_s
    return min(2.0 ** min(found_ill - 1, 10), REFRESHES_APART, refresh_s)
