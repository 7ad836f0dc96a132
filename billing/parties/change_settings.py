"""Setting what holds for a tenant where a call says nothing."""

import msgspec

from billing.dunning import schedule as dunning
from billing.parties import store
from billing.parties.model import Settings, SettingsChange
from kernel.database import Tx


async def change_settings(tx: Tx, change: SettingsChange) -> Settings:
    check(change)
    return await store.change_settings(tx, change)


def check(change: SettingsChange) -> None:
    if change.dunning_automatic is not msgspec.UNSET:
        dunning.check(change.dunning_automatic, can_charge=True, param="dunning_automatic")
    if change.dunning_send_invoice is not msgspec.UNSET:
        dunning.check(change.dunning_send_invoice, can_charge=False, param="dunning_send_invoice")
