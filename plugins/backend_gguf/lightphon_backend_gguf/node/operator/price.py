"""What a node's owner asks, as the command line says it and as people read it."""

from decimal import Decimal, InvalidOperation

from lightphon_backend_gguf.protocol.account import PriceMessage

_FIELDS = {
    "minute": "per_minute",
    "prompt": "per_mtok_prompt",
    "completion": "per_mtok_completion",
    "request": "per_request",
}


def parse_price(text: str) -> PriceMessage:
    """Sats: "10" for a minute of inference, or "prompt=50,completion=200,request=0.5,minute=10"; prompt and completion
    are for a million tokens. Raises ValueError with a line for the operator."""
    amounts: dict[str, int] = {}
    for part in text.split(","):
        name, separator, amount = part.strip().partition("=")
        if not separator:
            name, amount = "minute", name
        if name not in _FIELDS:
            raise ValueError(f"{name!r} is not one of {', '.join(_FIELDS)}")
        if _FIELDS[name] in amounts:
            raise ValueError(f"{name} is given twice")
        amounts[_FIELDS[name]] = _msat(amount)
    return PriceMessage(**amounts)


def price_text(price: PriceMessage) -> str:
    """A price in words: "5 sats a minute, 50 sats a million prompt tokens"."""
    parts = (
        (price.per_minute, "a minute"),
        (price.per_mtok_prompt, "a million prompt tokens"),
        (price.per_mtok_completion, "a million completion tokens"),
        (price.per_request, "a request"),
    )
    return ", ".join(f"{sats_text(amount)} sats {what}" for amount, what in parts if amount) or "free"


def sats_text(msat: int) -> str:
    """Millisatoshi as sats: 1500 is "1.5"."""
    whole, rest = divmod(abs(msat), 1000)
    text = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
    return f"-{text}" if msat < 0 else text


def _msat(sats: str) -> int:
    try:
        amount = Decimal(sats) * 1000
    except InvalidOperation:
        raise ValueError(f"{sats!r} is no amount of sats; write it as 12 or 0.5") from None
    if not amount.is_finite() or amount != amount.to_integral_value():
        raise ValueError(f"{sats!r} is finer than a thousandth of a sat, or no number")
    return int(amount)
