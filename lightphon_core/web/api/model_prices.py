"""/api/admin/prices: what the operator asks for models, whatever their nodes ask, and the house's share."""

from __future__ import annotations

from typing import Annotated

import attrs
import msgspec
from litestar import Controller, delete, get, put
from litestar.params import JSONBody, QueryParameter

from lightphon_core.accounts.terms import MODEL_LENGTH
from lightphon_core.errors import InvalidRequest, NotFound
from lightphon_core.serving.gateway import Gateway
from lightphon_core.types import Price, Scope
from lightphon_core.web.api.body import Body
from lightphon_core.web.api.dependencies import Given, Note
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.node_prices import ModelId, Part
from lightphon_core.web.api.nodes import PriceMsat
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals


class NewModelPrice(Body):
    """For a minute of inference, a million tokens, and each request, in msat; what is left out is 0. `model` is the id
    of a model, which need not be on offer now."""

    model: ModelId
    per_minute: Part = 0
    per_mtok_prompt: Part = 0
    per_mtok_completion: Part = 0
    per_request: Part = 0


class OperatorPrice(msgspec.Struct, frozen=True):
    """A model's price here. `set_in` is settings, where only the settings file changes it, or administration. With
    `overridden` it is of no effect: the settings have another one."""

    model: str
    price_msat: PriceMsat
    set_in: str
    overridden: bool
    on_offer: bool


class OperatorPrices(msgspec.Struct, frozen=True):
    """By the model's id. `default_msat` is asked where neither node nor account nor operator says anything; the house
    gets `house_bps` basis points of each charge, and the node's owner the rest. Both are settings."""

    default_msat: PriceMsat
    house_bps: int
    data: list[OperatorPrice]


class PriceRemoved(msgspec.Struct, frozen=True):
    """The price is left to accounts and nodes again."""

    model: str
    removed: bool = True


class ModelPricesRoutes(Controller):
    """Reading needs `admin`; changing needs `manage` too."""

    path = "/admin/prices"
    tags = ("administration",)
    guards = (Requires(Scope.ADMIN),)
    security = SESSION_OR_KEY

    @get(responses=refusals(*GUARDED))
    async def list_prices(self, gateway: Given[Gateway]) -> OperatorPrices:
        """The operator's prices for models."""
        return operator_prices(gateway)

    @put(guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY))
    async def set_model_price(
        self, data: JSONBody[NewModelPrice], gateway: Given[Gateway], note: Given[Note]
    ) -> OperatorPrice:
        """Ask this price for a model from now on, on whatever node. Answers that have begun keep theirs."""
        model = _id(data.model)
        _noted(model, gateway, note)
        if model in gateway.pricing.models:
            raise InvalidRequest(
                f'The settings file has a price for this model: change [pricing.models."{model}"] there, and restart.',
                param="model",
                code="price_in_settings",
            )
        price = Price(data.per_minute, data.per_mtok_prompt, data.per_mtok_completion, data.per_request)
        await gateway.model_prices.set(model, price)
        return _info(gateway, model, price, "administration")

    @delete(status_code=200, guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, 404))
    async def remove_model_price(
        self,
        model: Annotated[str, QueryParameter(max_length=MODEL_LENGTH, description="Whose price to remove.")],
        gateway: Given[Gateway],
        note: Given[Note],
    ) -> PriceRemoved:
        """Leave the price of a model to accounts and nodes again."""
        _noted(model, gateway, note)
        if not await gateway.model_prices.remove(_id(model)):
            raise NotFound("No administrator has set a price for this model.", param="model")
        return PriceRemoved(model)


def operator_prices(gateway: Gateway) -> OperatorPrices:
    """All of them."""
    in_settings = {model: each.price for model, each in gateway.pricing.models.items()}
    found = [_info(gateway, model, price, "settings") for model, price in in_settings.items()]
    found += [_info(gateway, model, price, "administration") for model, price in gateway.model_prices.all().items()]
    found.sort(key=lambda each: (each.model, each.overridden))
    return OperatorPrices(PriceMsat(**attrs.asdict(gateway.pricing.price)), gateway.pricing.house_bps, found)


def _info(gateway: Gateway, model: str, price: Price, set_in: str) -> OperatorPrice:
    overridden = set_in == "administration" and model in gateway.pricing.models
    return OperatorPrice(model, PriceMsat(**attrs.asdict(price)), set_in, overridden, _is_offered(model, gateway))


def _is_offered(model: str, gateway: Gateway) -> bool:
    return any(listed.model.id == model for listed in gateway.catalogue.models())


def _noted(model: str, gateway: Gateway, note: Note) -> None:
    """The id of a model that is offered may be in the log. Any other is text that somebody wrote."""
    if _is_offered(model, gateway):
        note(model=model)


def _id(model: str) -> str:
    if not model or not model.isprintable():
        raise InvalidRequest(f"A model's id has 1 to {MODEL_LENGTH} printable characters.", param="model")
    return model
