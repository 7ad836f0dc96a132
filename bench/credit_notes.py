"""Full credit notes over HTTP, one by one, beside the same statements sent straight to PostgreSQL.

Authentication, row security, idempotency, number, VAT that falls due, ledger, refund and events. The invoices
were billed by signups and paid through a provider, or not, and copied; each is credited whole, once.
"""

import time
from collections.abc import Sequence
from itertools import count, product

import click
import msgspec

from api import clock
from api.app import create_app
from bench import house
from bench.copies import copy_invoice
from bench.http import Client
from bench.recorder import Recorder, Statements, resent
from bench.serving import Pace, each_of, open_shops, paced, servers, serving, settings_of
from billing.invoices import store as invoices
from billing.invoices.model import InvoiceId
from kernel.database import open_pool, transaction
from kernel.ids import TenantId
from tests.client import client_for
from tests.flows.backend import Backend, Json, customer
from tests.refunds.cases import paid_by_provider

GOAL_PER_SECOND = 500
NOTES = 3_000  # of each measurement
WARM_UP = 25  # of each client, which nobody counts
RECORDED = 1_000

# What becomes of the money, by the name of the case: whether the invoice is paid, and the refund mode.
CASES = {
    "unpaid": (False, "automatic"),
    "paid, refunded": (True, "automatic"),
    "paid, to balance": (True, "none"),
}


async def measure(clients: int, processes: Sequence[int], tenants: int) -> None:
    for case, (paid, refund) in CASES.items():
        await house.new_database("shops")
        keys = await open_shops("shops", tenants)
        to_credit = await _bill(keys, NOTES + clients * WARM_UP, paid=paid)
        recorded = await _recorded(keys, to_credit, refund)
        for workers, server in product(processes, ("granian",)):
            straight = await resent("shops", recorded, clients, workers)
            click.echo(f"{case}: tenants {tenants}, clients {clients}, processes {workers}")
            _say("straight", straight, None)
            async with house.copy_of("shops", "measured"):
                with serving(servers(workers)[server]) as port:
                    _say(server, await _over_http(port, keys, to_credit, refund, clients), straight)
        await house.drop("shops")


def _say(what: str, pace: Pace, straight: Pace | None) -> None:
    times = f"p50 {pace.p50_ms:6.1f} ms   p99 {pace.p99_ms:6.1f} ms"
    share = f"   {pace.per_second / straight.per_second:.2f} of straight" if straight else ""
    goal = f"   {pace.per_second / GOAL_PER_SECOND:.2f} of the goal" if straight else ""
    click.echo(f"  {what:10} {pace.per_second:7,.0f}/s   {times}{share}{goal}")


# ── What is there before ────────────────────────────────────────────────────────────────────────────────


async def _bill(keys: Sequence[str], notes: int, *, paid: bool) -> list[list[InvoiceId]]:
    """As many invoices as notes, evenly over the tenants: those of each."""
    each = -(-notes // len(keys))
    found = []
    pool = await open_pool(house.app_url_of("shops"), size=1)
    async with client_for(create_app(settings_of("shops"))) as http, house.as_owner("shops") as owner:
        for key in keys:
            http.headers["authorization"] = f"Bearer {key}"
            backend = Backend(TenantId.new(), http, pool)
            who = customer("user-1", payment_method="pm_card_visa")
            signup = await backend.post("/v1/signups", {"customer": who, "plan": "pro", "quantity": "3"})
            invoice_id = InvoiceId.parse(signup["invoice"]["id"])
            tenant = TenantId.of(
                await owner.fetchval("SELECT tenant_id FROM invoices WHERE id = $1", invoice_id.uuid)
            )
            if paid:
                async with transaction(pool, tenant, now=clock.now()) as tx:
                    await paid_by_provider(tx, await invoices.get(tx, invoice_id))
            await copy_invoice(owner, invoice_id, each - 1)
            rows = await owner.fetch("SELECT id FROM invoices WHERE tenant_id = $1 ORDER BY id", tenant.uuid)
            found.append([InvoiceId.of(row["id"]) for row in rows])
        await owner.execute("VACUUM ANALYZE")
    await pool.close()
    return found


def _note(refund: str) -> bytes:
    request: Json = {"reason": "cancellation", "refund": refund}
    return msgspec.json.encode(request)


# ── Over HTTP ───────────────────────────────────────────────────────────────────────────────────────────


async def _over_http(
    port: int, keys: Sequence[str], to_credit: Sequence[Sequence[InvoiceId]], refund: str, clients: int
) -> Pace:
    numbers = count()
    body = _note(refund)
    open_clients = [await Client.connect("127.0.0.1", port, patience=30) for _ in range(clients)]

    async def credit(client: Client) -> float:
        n = next(numbers)
        tenant, place = n % len(keys), n // len(keys)
        path = f"/v1/invoices/{to_credit[tenant][place]}/credit_notes"
        started = time.perf_counter()
        status = await client.post(path, body, key=keys[tenant], attempt=f"attempt-{n}")
        assert status == 201, f"a credit note was answered {status}"
        return time.perf_counter() - started

    await each_of(open_clients, credit, clients * WARM_UP)
    pace = await paced(open_clients, credit, NOTES)
    for client in open_clients:
        client.close()
    return pace


# ── Straight ────────────────────────────────────────────────────────────────────────────────────────────


async def _recorded(
    keys: Sequence[str], to_credit: Sequence[Sequence[InvoiceId]], refund: str
) -> list[Statements]:
    recorder = Recorder()
    async with house.copy_of("shops", "recorded"), client_for(create_app(settings_of("recorded"))) as http:
        with recorder.listening():
            for n in range(RECORDED):
                tenant, place = n % len(keys), n // len(keys)
                headers = {
                    "authorization": f"Bearer {keys[tenant]}",
                    "content-type": "application/json",
                    "idempotency-key": f"attempt-{n}",
                }
                path = f"/v1/invoices/{to_credit[tenant][place]}/credit_notes"
                answer = await http.post(path, content=_note(refund), headers=headers)
                assert answer.status_code == 201, answer.text
    return [each for each in recorder.transactions if any("INTO credit_notes" in query for query, _ in each)]
