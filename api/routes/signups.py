"""Signups: the one call a SaaS backend makes when a person signs up."""

from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.operations import command
from kernel.database import Tx
from subscriptions.model import NewSignup, Signup
from subscriptions.sign_up import sign_up


@command("/v1/signups", scope="subscriptions:write", status=201)
async def create_signup(tx: NamedDependency[Tx], data: JSONBody[NewSignup]) -> Signup:
    """Sign a customer up: customer, welcome offer, subscription, invoice and entitlements in one call.

    Safe to repeat: the same customer, plan and offer give the first signup again, with `is_new: false`, as
    long as it runs. Other terms for a customer who signed up are refused with `signup_differs`.
    """
    return await sign_up(tx, data)


ROUTES = [create_signup]
