"""Setting what holds for a tenant where a call says nothing."""

import msgspec

from billing.parties import store
from billing.parties.model import Settings, SettingsChange
from kernel.database import Tx


async def change_settings(tx: Tx, change: SettingsChange) -> Settings:
    settings = await store.settings(tx)

    sent = {
        name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET
    }
    changed = msgspec.structs.replace(settings, **sent)

    await store.put_settings(tx, changed)
    return changed
