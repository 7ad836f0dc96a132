"""Settings: what holds for a tenant where a call says nothing."""

from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.operations import command, query
from billing.parties import store
from billing.parties.change_settings import change_settings
from billing.parties.model import Settings, SettingsChange
from kernel.database import Tx


@query("/v1/settings", scope="settings:read")
async def get_settings(tx: NamedDependency[Tx]) -> Settings:
    """Read the settings."""
    return await store.settings(tx)


@command("/v1/settings", scope="settings:write", method="PATCH")
async def patch_settings(tx: NamedDependency[Tx], data: JSONBody[SettingsChange]) -> Settings:
    """Change the settings: the refund mode, when a deferred refund is due, proration, dunning.

    `dunning_automatic` holds for invoices that are charged, `dunning_send_invoice` for those that are sent.
    What is overdue already keeps the schedule it began with. Without steps nothing is done.
    """
    return await change_settings(tx, data)


ROUTES = [get_settings, patch_settings]
