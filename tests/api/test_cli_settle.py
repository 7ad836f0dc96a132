"""`ristourne settle` from a shell: what is left of notes settles what is due, and is reported."""

import json
from datetime import UTC, datetime, timedelta

from api.access.create_tenant import Opened
from api.settings import Settings
from kernel.database import Pool, transaction
from tests.api.test_cli_keys import ristourne
from tests.billing.owing import owing_both_ways
from tests.books import assert_sound
from tests.servers import Database
from tests.shop import a_shop_by_hand

BEFORE = datetime.now(UTC) - timedelta(days=3)


async def test_it_settles_and_reports_and_can_be_tried_before(
    settings: Settings, database: Database, pool: Pool, opened: Opened
) -> None:
    tenant = opened.test.id
    async with transaction(pool, tenant, now=BEFORE) as tx:
        await owing_both_ways(tx, await a_shop_by_hand(tx), credited="50.00", due="80.00")
    words = ("settle", "--tenant", str(tenant), "--currency", "EUR")

    code, said = await ristourne(settings, database, *words, "--simulate")
    assert (code, "1 would be applied, 60.00 EUR" in said) == (0, True), said
    code, said = await ristourne(settings, database, *words, "--json")
    report = json.loads(said)
    assert (code, report["applications"]) == (0, 1)
    [done] = report["batches"]
    assert done["batch"]["applied"][0]["amount"] == {"minor": 60_00, "currency": "EUR"}
    async with transaction(pool, tenant, now=datetime.now(UTC)) as tx:
        await assert_sound(tx)

    code, said = await ristourne(settings, database, *words)
    assert (code, said.strip()) == (0, "Nothing is left of any credit note.")
