"""Opening an account: a company with a live and a test tenant for its product."""

from datetime import datetime

from api.access import store
from api.access.model import AccountId, Mode, Tenant
from kernel.database import Conn
from kernel.ids import TenantId
from kernel.structs import Value


class Opened(Value, frozen=True, kw_only=True):
    account_id: AccountId
    live: Tenant
    test: Tenant


async def create_tenant(conn: Conn, name: str, *, now: datetime) -> Opened:
    """To be called inside a transaction: all of it is there, or nothing."""
    account_id = AccountId.new()
    live, test = (
        Tenant(id=TenantId.new(), account_id=account_id, name=name, mode=mode)
        for mode in (Mode.LIVE, Mode.TEST)
    )

    await store.insert_account(conn, account_id, name, now=now)
    await store.insert_tenant(conn, live, now=now)
    await store.insert_tenant(conn, test, now=now)
    return Opened(account_id=account_id, live=live, test=test)
