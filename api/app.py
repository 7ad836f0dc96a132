"""The application: every route, and what stands around them."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from api import checkout, docs, filters, logs, openapi, paging, problems
from api.access.admissions import Admissions
from api.access.directory import Directory
from api.access.key_text import Hasher
from api.access.last_use import LastUse
from api.access.model import ApiKey
from api.checkout import Links
from api.commands import Commands
from api.console.app import beside, create_console
from api.front import Front
from api.gateways import Gateways, StoredConnections, vault_of
from api.health import healthz, readyz
from api.provider_webhooks import Connections, stripe_endpoint
from api.quotes import Signer
from api.requests import PlainResponse, StrictRequest
from api.routes import (
    api_keys,
    charges,
    coupons,
    credit_notes,
    customers,
    disputes,
    draft_credit_notes,
    draft_invoices,
    dunnings,
    events,
    imports,
    invoices,
    ledger,
    legal_entities,
    meters,
    offers,
    payment_connections,
    payments,
    plans,
    promotions,
    provider_events,
    rebates,
    reconciliations,
    redemptions,
    refunds,
    released_lines,
    settlement_batches,
    settlements,
    signups,
    subscriptions,
    tax_rates,
    test_clock,
    usage,
)
from api.routes import (
    settings as tenant_settings,
)
from api.scalars import TYPE_DECODERS
from api.settings import Settings
from api.wake import Waker
from billing.gateways.connections.vault import Vault
from billing.gateways.sandbox import Sandbox
from billing.gateways.stripe_http import StripeHttp
from kernel.database import Tx, open_pool

SHUTDOWN_SECONDS = 5.0

OPERATIONS = [
    *signups.ROUTES,
    *customers.ROUTES,
    *subscriptions.ROUTES,
    *charges.ROUTES,
    *plans.ROUTES,
    *meters.ROUTES,
    *usage.ROUTES,
    *offers.ROUTES,
    *promotions.ROUTES,
    *coupons.ROUTES,
    *redemptions.ROUTES,
    *rebates.ROUTES,
    *disputes.ROUTES,
    *draft_invoices.ROUTES,
    *invoices.ROUTES,
    *imports.ROUTES,
    *dunnings.ROUTES,
    *credit_notes.ROUTES,
    *draft_credit_notes.ROUTES,
    *released_lines.ROUTES,
    *payments.ROUTES,
    *payment_connections.ROUTES,
    *refunds.ROUTES,
    *reconciliations.ROUTES,
    *settlements.ROUTES,
    *settlement_batches.ROUTES,
    *ledger.ROUTES,
    *legal_entities.ROUTES,
    *tax_rates.ROUTES,
    *tenant_settings.ROUTES,
    *events.ROUTES,
    *provider_events.ROUTES,
    *api_keys.ROUTES,
    *test_clock.ROUTES,
]


def create_app(
    settings: Settings | None = None,
    *,
    operations: Sequence[HTTPRouteHandler] = OPERATIONS,
    connections: Connections | None = None,
) -> Litestar:
    settings = settings or Settings.from_environment(os.environ)
    logs.configure(settings)
    hasher, vault = Hasher(settings.subkey("api keys")), vault_of(settings)
    waker, last_use, admissions = Waker(settings.redis_url), LastUse(), Admissions()
    commands = Commands(
        directory=Directory(hasher),
        admissions=admissions,
        signer=Signer(settings.subkey("quotes")),
        waker=waker,
        last_use=last_use,
        secret=settings.subkey("identities"),
    )

    console = create_console(settings, hasher=hasher, waker=waker, admissions=admissions)

    @asynccontextmanager
    async def serving(app: Litestar) -> AsyncIterator[None]:
        pool = await open_pool(settings.app_database_url, size=settings.database_pool_size)
        app.state.pool = console.state.pool = pool
        http = StripeHttp()
        app.state.gateways = Gateways(
            sandbox=Sandbox(pool), vault=vault, http=http, stripe_url=settings.stripe_url
        )
        waking = asyncio.create_task(waker.run())
        flushing = asyncio.create_task(last_use.keep_flushing(pool))
        try:
            yield
        finally:
            waker.stop()
            flushing.cancel()
            await asyncio.wait({waking, flushing}, timeout=SHUTDOWN_SECONDS)
            await last_use.flush(pool)
            await http.close_async()
            await asyncio.wait_for(pool.close(), SHUTDOWN_SECONDS)

    dependencies = _dependencies(hasher, vault, Links(base_url=settings.base_url))
    app = Litestar(
        [
            *operations,
            healthz,
            readyz,
            *checkout.ROUTES,
            stripe_endpoint(connections or StoredConnections(vault), waker),
            *docs.handlers(lambda: openapi.document(operations, dependencies)),
        ],
        # Here and not on a Router: registering one copies it deeply, with all that the layer holds.
        middleware=[commands],
        dependencies=dependencies,
        lifespan=[serving],
        state=State({"settings": settings}),
        exception_handlers={Exception: problems.respond},
        type_decoders=TYPE_DECODERS,
        request_class=StrictRequest,
        response_class=PlainResponse,
        openapi_config=None,
        logging_config=None,
    )
    app.asgi_handler = Front(beside(app.asgi_handler, console))
    return app


def create_served() -> Litestar:
    """For a process that does nothing else: what is loaded stays, and requests leave few cycles behind."""
    app = create_app()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return app


def _dependencies(hasher: Hasher, vault: Vault, links: Links) -> dict[str, Provide]:
    return {
        "tx": Provide(_tx, sync_to_thread=False),
        "caller": Provide(_caller, sync_to_thread=False),
        "now": Provide(_now, sync_to_thread=False),
        "window": Provide(paging.window),
        "of_customer": Provide(filters.of_customer),
        "hasher": Provide(lambda: hasher, sync_to_thread=False),
        "vault": Provide(lambda: vault, sync_to_thread=False),
        "links": Provide(lambda: links, sync_to_thread=False),
    }


def _tx(scope: Scope) -> Tx:
    tx = scope["state"]["tx"]
    assert isinstance(tx, Tx)
    return tx


def _caller(scope: Scope) -> ApiKey:
    caller = scope["state"]["caller"]
    assert isinstance(caller, ApiKey)
    return caller


def _now(scope: Scope) -> datetime:
    now = scope["state"]["now"]
    assert isinstance(now, datetime)
    return now
