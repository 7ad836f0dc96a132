"""Setting what holds for a tenant where a call says nothing."""

from billing.parties import store
from billing.parties.model import Settings, SettingsChange
from kernel.database import Tx


async def change_settings(tx: Tx, change: SettingsChange) -> Settings:
    return await store.change_settings(tx, change)
