"""What the tests of following and of comparing begin with."""

import pytest

from kernel.database import Pool
from kernel.ids import TenantId
from tests.webhooks.shop import Shop


@pytest.fixture
async def shop(pool: Pool, tenant: TenantId) -> Shop:
    shop = Shop(pool, tenant)
    await shop.open()
    return shop
