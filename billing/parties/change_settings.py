"""Setting what holds for a tenant where a call says nothing."""

import msgspec

from billing.parties import store
from billing.parties.model import Settings, SettingsChange
from kernel.database import Tx
from kernel.structs import sent_fields


async def change_settings(tx: Tx, change: SettingsChange) -> Settings:
    settings = await store.settings(tx)

    sent = sent_fields(change)
    changed = msgspec.structs.replace(settings, **sent)

    await store.put_settings(tx, changed)
    return changed
