"""Addresses of the console that are given to people outside of it."""

from api.console.access.keyed import Keyed
from api.settings import Settings


def keyed(settings: Settings) -> Keyed:
    return Keyed(settings.subkey("console"))


def of_invitation(settings: Settings, token: str) -> str:
    return f"{settings.base_url}/console/invitation/{token}"
