"""A mail goes out once for an event, and is the same mail however often it takes."""

import asyncio
from datetime import date, timedelta
from email.message import EmailMessage

import aiosmtplib
import pypdfium2  # type: ignore[import-untyped]
import pytest

from billing.documents import keep
from billing.invoices.model import Invoice
from billing.parties.model import Customer, CustomerId, Language, RefundMode
from billing.payments import store as payments
from billing.payments.model import Means, Payment, PaymentId
from billing.payments.model import Status as PaymentStatus
from kernel.database import Pool, open_pool, transaction
from kernel.decimals import UnitPrice
from kernel.ids import EventId, TenantId
from kernel.periods import Interval, Unit
from kernel.text import Email, Name, Reference
from notifications import letters, store
from notifications.mailer import Mailer, Refused
from notifications.message import message_of
from notifications.model import Kind, Letter, Mail, MailId, Status
from notifications.send import Read, send_mail
from refunds import store as refunds
from refunds.cancel_subscription import cancel_subscription
from refunds.model import NewCancellation, Refund, RefundId
from refunds.model import Status as RefundStatus
from subscriptions.create_plan import create_plan
from subscriptions.model import NewPlan, NewPrice, NewSubscription
from subscriptions.sign_up import subscribe
from tests import shop
from tests.makers import EUR, NOON, euros
from tests.notifications.inbox import Inbox
from tests.servers import Database
from tests.shop import a_door


@pytest.fixture
def tenant() -> TenantId:
    return TenantId.new()


@pytest.fixture
def event_id() -> EventId:
    return EventId.new()


@pytest.fixture
async def customer(pool: Pool, tenant: TenantId) -> Customer:
    async with transaction(pool, tenant, now=NOON) as tx:
        return await shop.a_shop(tx)


@pytest.fixture
async def invoice(pool: Pool, tenant: TenantId, customer: Customer) -> Invoice:
    async with transaction(pool, tenant, now=NOON) as tx:
        return await shop.an_issued_invoice(tx, customer)


@pytest.fixture
def read(invoice: Invoice) -> Read:
    return lambda tx: letters.invoice_issued(tx, invoice.id)


async def mails_of(pool: Pool, tenant: TenantId, event_id: EventId) -> Mail:
    """The one mail of this event."""
    async with transaction(pool, tenant, now=NOON) as tx:
        count = await tx.conn.fetchval(
            "SELECT count(*) FROM mails WHERE tenant_id = $1 AND event_id = $2", tenant, event_id
        )
        assert count == 1
        kind = await tx.conn.fetchval(
            "SELECT kind FROM mails WHERE tenant_id = $1 AND event_id = $2", tenant, event_id
        )
        mail = await store.find(tx, event_id, Kind(kind))
    assert mail is not None
    return mail


def text_of_attachment(message: EmailMessage) -> str:
    (attachment,) = message.iter_attachments()
    assert attachment.get_content_type() == "application/pdf"
    document = pypdfium2.PdfDocument(attachment.get_content())
    text = str(document[0].get_textpage().get_text_bounded())
    document.close()
    return text


def plain(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


# ── What arrives ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_invoice_arrives_with_its_page(
    pool: Pool,
    mailer: Mailer,
    inbox: Inbox,
    tenant: TenantId,
    event_id: EventId,
    read: Read,
    invoice: Invoice,
) -> None:
    await send_mail(a_door(pool, tenant), mailer, event_id, read)

    (message,) = inbox.messages
    mail = await mails_of(pool, tenant, event_id)
    assert inbox.recipients == ["compta@atelier.example"]
    assert message["From"] == "Nuage Clair <billing@ristourne.example>"
    assert message["To"] == "Atelier Bœuf & Cœur <compta@atelier.example>"
    assert message["Reply-To"] == "Nuage Clair <facturation@nuage-clair.example>"
    assert message["Subject"] == f"Votre facture {invoice.number}"
    assert message["Date"].datetime == NOON
    assert message["Message-ID"] == mail.message_id == f"<{mail.id}@ristourne.example>"
    assert "d’un montant de 179,76\u00a0€" in plain(message)
    assert "À régler au plus tard le 14 février 2026." in plain(message)
    assert "Facture" in text_of_attachment(message)
    assert invoice.number in text_of_attachment(message)
    assert (mail.status, mail.sent_at, mail.kind) == (Status.SENT, NOON, Kind.INVOICE_ISSUED)


async def test_the_page_that_was_sent_is_the_one_that_is_kept(
    pool: Pool,
    mailer: Mailer,
    inbox: Inbox,
    tenant: TenantId,
    event_id: EventId,
    read: Read,
    invoice: Invoice,
) -> None:
    await send_mail(a_door(pool, tenant), mailer, event_id, read)

    (attachment,) = inbox.messages[0].iter_attachments()
    async with transaction(pool, tenant, now=NOON) as tx:
        kept = await tx.conn.fetchval("SELECT pdf FROM rendered_documents WHERE tenant_id = $1", tenant)
        assert attachment.get_content() == kept == await keep.pdf_of(tx, invoice)
    assert attachment.get_filename() == f"{invoice.number}.pdf"


async def test_an_english_customer_reads_english(
    pool: Pool, mailer: Mailer, inbox: Inbox, tenant: TenantId, event_id: EventId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await shop.a_shop(tx, name="Hartley & Sons Ltd", language=Language.ENGLISH)
        invoice = await shop.an_issued_invoice(tx, customer)
        note = await shop.an_issued_credit_note(tx, invoice)

    await send_mail(
        a_door(pool, tenant), mailer, event_id, lambda tx: letters.credit_note_issued(tx, note.id)
    )

    (message,) = inbox.messages
    assert message["Subject"] == f"Your credit note {note.number}"
    assert message["Content-Language"] == "en"
    assert "of €179.76" in plain(message)
    assert f"is deducted from invoice {invoice.number}, which had not been paid" in plain(message)
    assert "Credit note" in text_of_attachment(message)


async def test_a_failed_payment_brings_its_invoice_along(
    pool: Pool, mailer: Mailer, inbox: Inbox, tenant: TenantId, event_id: EventId, invoice: Invoice
) -> None:
    payment_id = PaymentId.new()
    async with transaction(pool, tenant, now=NOON) as tx:
        await payments.insert(tx, a_failed_payment(payment_id, invoice))

    await send_mail(a_door(pool, tenant), mailer, event_id, lambda tx: letters.payment_failed(tx, payment_id))

    (message,) = inbox.messages
    assert message["Subject"] == f"Votre paiement de la facture {invoice.number} n’a pas abouti"
    assert "Le paiement de 179,76\u00a0€" in plain(message)
    assert invoice.number in text_of_attachment(message)


def a_failed_payment(payment_id: PaymentId, invoice: Invoice) -> Payment:
    return Payment(
        id=payment_id,
        customer_id=invoice.customer_id,
        invoice_id=invoice.id,
        currency=invoice.currency,
        amount=invoice.total,
        refunded=euros(0),
        disputed=euros(0),
        charged_back=euros(0),
        status=PaymentStatus.FAILED,
        means=Means.PROVIDER,
        reference=None,
        received_on=None,
        gateway="sandbox",
        gateway_reference=None,
        payment_method="pm_card",
        failure_code="card_declined",
        created_at=NOON,
    )


async def test_a_refund_is_told(
    pool: Pool, mailer: Mailer, inbox: Inbox, tenant: TenantId, event_id: EventId, invoice: Invoice
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        note = await shop.an_issued_credit_note(tx, invoice)
        refund = Refund(
            id=RefundId.new(),
            credit_note_id=note.id,
            payment_id=None,
            customer_id=note.customer_id,
            invoice_id=invoice.id,
            currency=EUR,
            amount=euros(62_00),
            mode=RefundMode.MANUAL,
            status=RefundStatus.SUCCEEDED,
            due_on=date(2026, 1, 20),
            means=Means.TRANSFER,
            reference=None,
            gateway_reference=None,
            failure_code=None,
            created_at=NOON,
            succeeded_on=date(2026, 1, 20),
        )
        await refunds.insert(tx, refund)

    await send_mail(
        a_door(pool, tenant), mailer, event_id, lambda tx: letters.refund_succeeded(tx, refund.id)
    )

    (message,) = inbox.messages
    assert message["Subject"] == "Votre remboursement de 62,00 €"
    assert f"au titre de votre avoir {note.number}" in plain(message)
    assert not list(message.iter_attachments())


async def test_a_cancelled_subscription_is_told(
    pool: Pool, mailer: Mailer, inbox: Inbox, tenant: TenantId, event_id: EventId, customer: Customer
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        price = NewPrice(currency=EUR, unit_price=UnitPrice("29.00"))
        month = Interval(Unit.MONTH)
        plan = NewPlan(reference=Reference("pro"), name=Name("Pro"), interval=month, prices=[price])
        await create_plan(tx, plan)
        signup = await subscribe(tx, NewSubscription(customer=customer.reference, plan="pro"))
        cancelled = await cancel_subscription(tx, signup.subscription.id, NewCancellation())

    subscription_id = cancelled.subscription.id
    await send_mail(
        a_door(pool, tenant), mailer, event_id, lambda tx: letters.subscription_cancelled(tx, subscription_id)
    )

    (message,) = inbox.messages
    assert message["Subject"] == "Votre abonnement Pro est résilié"
    assert "avec effet le 15 janvier 2026" in plain(message)


# ── Once, however often ──────────────────────────────────────────────────────────────────────────────────


async def test_a_second_run_sends_nothing(
    pool: Pool, mailer: Mailer, inbox: Inbox, tenant: TenantId, event_id: EventId, read: Read
) -> None:
    await send_mail(a_door(pool, tenant), mailer, event_id, read)
    await send_mail(a_door(pool, tenant), mailer, event_id, read)

    assert len(inbox.messages) == 1
    assert (await mails_of(pool, tenant, event_id)).status is Status.SENT


async def test_a_server_that_was_down_gets_the_same_mail_later(
    pool: Pool, mailer: Mailer, inbox: Inbox, tenant: TenantId, event_id: EventId, read: Read
) -> None:
    await inbox.close()
    with pytest.raises(aiosmtplib.SMTPConnectError):
        await send_mail(a_door(pool, tenant), mailer, event_id, read)
    queued = await mails_of(pool, tenant, event_id)

    await inbox.open()
    await send_mail(a_door(pool, tenant, now=NOON + timedelta(hours=1)), mailer, event_id, read)

    sent = await mails_of(pool, tenant, event_id)
    (message,) = inbox.messages
    assert (queued.status, sent.status) == (Status.QUEUED, Status.SENT)
    assert message["Message-ID"] == queued.message_id == sent.message_id
    assert message["Date"].datetime == NOON
    assert sent.sent_at == NOON + timedelta(hours=1)


async def test_a_worker_that_died_after_the_server_took_it_sends_the_same_mail_again(
    pool: Pool, mailer: Mailer, inbox: Inbox, tenant: TenantId, event_id: EventId, read: Read
) -> None:
    with pytest.raises(Killed):
        await send_mail(a_door(pool, tenant), KilledAfterwards(mailer), event_id, read)
    await send_mail(a_door(pool, tenant), mailer, event_id, read)

    first, second = inbox.messages
    assert first["Message-ID"] == second["Message-ID"]
    assert plain(first) == plain(second)


class Killed(BaseException):
    """Nobody is left to mark the mail as sent."""


class KilledAfterwards(Mailer):
    def __init__(self, mailer: Mailer) -> None:
        super().__init__("smtp://unused", mailer.sender)
        self._mailer = mailer

    async def send(self, message: EmailMessage) -> None:
        await self._mailer.send(message)
        raise Killed


async def test_no_transaction_is_open_while_the_server_is_spoken_to(
    database: Database, mailer: Mailer, pool: Pool, tenant: TenantId, event_id: EventId, read: Read
) -> None:
    one_connection = await open_pool(database.app_url, size=1)
    looking = Looking(mailer, one_connection)

    await send_mail(a_door(one_connection, tenant), looking, event_id, read)

    await one_connection.close()
    assert looking.saw_a_free_connection


class Looking(Mailer):
    saw_a_free_connection = False

    def __init__(self, mailer: Mailer, pool: Pool) -> None:
        super().__init__("smtp://unused", mailer.sender)
        self._pool = pool

    async def send(self, message: EmailMessage) -> None:
        async with asyncio.timeout(2):
            assert await self._pool.fetchval("SELECT 1") == 1
        self.saw_a_free_connection = True


# ── Refused ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_recipient_that_is_refused_for_good_ends_it(
    pool: Pool, mailer: Mailer, inbox: Inbox, tenant: TenantId, event_id: EventId, read: Read
) -> None:
    inbox.answers["compta@atelier.example"] = "550 5.1.1 No such user here"

    await send_mail(a_door(pool, tenant), mailer, event_id, read)
    inbox.answers.clear()
    await send_mail(a_door(pool, tenant), mailer, event_id, read)

    mail = await mails_of(pool, tenant, event_id)
    assert (mail.status, mail.refusal) == (Status.REFUSED, "550 5.1.1 No such user here")
    assert mail.sent_at is None
    assert inbox.messages == []


async def test_a_recipient_that_is_refused_for_now_is_tried_again(
    pool: Pool, mailer: Mailer, inbox: Inbox, tenant: TenantId, event_id: EventId, read: Read
) -> None:
    inbox.answers["compta@atelier.example"] = "451 4.7.1 Greylisted, come back"
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await send_mail(a_door(pool, tenant), mailer, event_id, read)
    assert (await mails_of(pool, tenant, event_id)).status is Status.QUEUED

    inbox.answers.clear()
    await send_mail(a_door(pool, tenant), mailer, event_id, read)

    assert len(inbox.messages) == 1
    assert (await mails_of(pool, tenant, event_id)).status is Status.SENT


# ── Addresses and headers ────────────────────────────────────────────────────────────────────────────────


def a_mail(recipient: str = "compta@atelier.example") -> Mail:
    mail_id = MailId.new()
    return Mail(
        id=mail_id,
        event_id=EventId.new(),
        kind=Kind.INVOICE_ISSUED,
        language=Language.FRENCH,
        customer_id=CustomerId.new(),
        document_id=mail_id.uuid,
        sender="billing@ristourne.example",
        recipient=Email(recipient),
        subject="Votre facture F2026-000001",
        body="Bonjour <script>alert(1)</script>,\n\nVoici votre facture.\n",
        status=Status.QUEUED,
        message_id=f"<{mail_id}@ristourne.example>",
        refusal=None,
        created_at=NOON,
        sent_at=None,
    )


def a_letter(mail: Mail, name: str = "Atelier") -> Letter:
    return Letter(
        kind=mail.kind,
        language=mail.language,
        customer_id=mail.customer_id,
        document_id=mail.document_id,
        to_name=Name(name),
        to_address=mail.recipient,
        from_name=Name(name),
        reply_to=Email("facturation@nuage-clair.example"),
        subject=mail.subject,
        body=mail.body,
    )


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r", "\x85", "\u2028", "\x0b"])
def test_a_name_cannot_bring_a_header(line_break: str) -> None:
    name = f"Atelier{line_break}Bcc: evil@example.com"
    with pytest.raises(ValueError, match="control characters"):
        Name.parse(name)

    mail = a_mail()
    message = message_of(mail, a_letter(mail, name=name))

    assert message["Bcc"] is None
    assert message["To"].addresses[0].display_name == "Atelier Bcc: evil@example.com"
    assert [address.addr_spec for address in message["To"].addresses] == ["compta@atelier.example"]


@pytest.mark.parametrize(
    "name", ['A "quoted" <b@c.example>, Ltd', "Ünïcode, GmbH", "日本株式会社", "a@b.example"]
)
async def test_any_name_arrives_as_it_is(mailer: Mailer, inbox: Inbox, name: str) -> None:
    mail = a_mail()

    await mailer.send(message_of(mail, a_letter(mail, name=name)))

    assert inbox.messages[0]["To"].addresses[0].display_name == name
    assert inbox.recipients == ["compta@atelier.example"]


async def test_what_people_write_is_text_in_html_too(mailer: Mailer, inbox: Inbox) -> None:
    mail = a_mail()

    await mailer.send(message_of(mail, a_letter(mail)))

    html = inbox.messages[0].get_body(("html",))
    assert html is not None
    assert (
        "Bonjour &lt;script&gt;alert(1)&lt;/script&gt;,</p><p>Voici votre facture.</p>" in html.get_content()
    )
    assert plain(inbox.messages[0]) == mail.body


async def test_a_domain_travels_in_ascii(mailer: Mailer, inbox: Inbox) -> None:
    mail = a_mail("compta@straße.example")

    await mailer.send(message_of(mail, a_letter(mail)))

    assert inbox.recipients == ["compta@xn--strae-oqa.example"]


async def test_an_address_in_another_alphabet_needs_a_server_that_reads_it(
    mailer: Mailer, inbox: Inbox
) -> None:
    mail = a_mail("jörg@müller.example")

    await mailer.send(message_of(mail, a_letter(mail)))
    inbox.reads_utf8 = False
    with pytest.raises(Refused, match="SMTPUTF8"):
        await mailer.send(message_of(mail, a_letter(mail)))

    assert inbox.recipients == ["jörg@xn--mller-kva.example"]
