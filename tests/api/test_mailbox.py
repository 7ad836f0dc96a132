"""The local mailbox: what arrives by SMTP can be read in a browser, and runs nothing there."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx
import pytest

from api.mailbox import store
from api.mailbox.app import mailbox
from api.stack.embedded import free_port
from tests.client import client_for
from tests.makers import NOON

PDF = b"%PDF-1.7 not much of one"


class Mailbox:
    """A mailbox that runs: a browser on one side, SMTP on the other."""

    def __init__(self, browser: httpx.AsyncClient, smtp_port: int, folder: Path) -> None:
        self.browser = browser
        self.smtp_port = smtp_port
        self.folder = folder

    async def send(self, mail: EmailMessage) -> None:
        await aiosmtplib.send(mail, hostname="127.0.0.1", port=self.smtp_port, start_tls=False)

    async def get(self, path: str) -> httpx.Response:
        return await self.browser.get(path)

    async def open_newest(self, path: str = "") -> httpx.Response:
        newest, *_ = store.newest(self.folder)
        return await self.get(f"/mails/{newest.id}{path}")


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Mailbox]:
    smtp_port, folder = free_port(), tmp_path / "mail"
    app = mailbox(folder, smtp_port=smtp_port)
    async with client_for(app) as browser:
        browser.base_url = httpx.URL("http://localhost:8025")
        yield Mailbox(browser, smtp_port, folder)


def a_mail(subject: str = "Facture F-2026-0001", text: str = "Montant dû : 29,99 €") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Ristourne <billing@seller.example>"
    mail["To"] = "Zoé <zoe@buyer.example>"
    mail["Subject"] = subject
    mail.set_content(text)
    return mail


async def test_an_empty_mailbox_says_what_would_fill_it(box: Mailbox) -> None:
    page = await box.get("/")

    assert page.status_code == 200
    assert "No mail yet. Issue an invoice" in page.text


async def test_what_is_sent_can_be_read(box: Mailbox) -> None:
    await box.send(a_mail())

    inbox = await box.get("/")
    assert "Facture F-2026-0001" in inbox.text
    assert "zoe@buyer.example" in inbox.text
    page = await box.open_newest()
    assert "Montant dû : 29,99 €" in page.text
    assert "Ristourne &lt;billing@seller.example&gt;" in page.text


async def test_the_newest_mail_comes_first(box: Mailbox) -> None:
    for subject in ("first", "second", "third"):
        await box.send(a_mail(subject))

    page = (await box.get("/")).text
    assert page.index("third") < page.index("second") < page.index("first")


async def test_who_is_only_in_the_envelope_is_shown(box: Mailbox) -> None:
    await aiosmtplib.send(
        a_mail(),
        recipients=["hidden@buyer.example"],
        hostname="127.0.0.1",
        port=box.smtp_port,
        start_tls=False,
    )

    assert "hidden@buyer.example" in (await box.open_newest()).text


async def test_a_pdf_opens_in_the_browser_and_other_files_are_saved(box: Mailbox) -> None:
    mail = a_mail()
    mail.add_attachment(PDF, maintype="application", subtype="pdf", filename="été 1.pdf")
    mail.add_attachment("<script>1</script>", subtype="html", filename="page.html")
    await box.send(mail)

    page = await box.open_newest()
    assert "été 1.pdf" in page.text
    pdf = await box.open_newest("/attachments/1")
    assert pdf.content == PDF
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.headers["content-disposition"] == "inline; filename*=UTF-8''%C3%A9t%C3%A9%201.pdf"
    html = await box.open_newest("/attachments/2")
    assert html.headers["content-disposition"].startswith("attachment;")
    assert html.headers["x-content-type-options"] == "nosniff"
    assert (await box.open_newest("/attachments/3")).status_code == 404


async def test_html_is_shown_in_a_frame_that_can_do_nothing(box: Mailbox) -> None:
    mail = a_mail()
    mail.add_alternative("<h1>Bonjour</h1><script>alert(1)</script>", subtype="html")
    await box.send(mail)

    page = await box.open_newest()
    assert "<iframe sandbox src=" in page.text
    assert "<script>" not in page.text
    assert "script" not in page.headers["content-security-policy"]
    frame = await box.open_newest("/html")
    assert frame.text.startswith("<h1>Bonjour</h1>")
    assert frame.headers["content-security-policy"].startswith("sandbox; default-src 'none';")


async def test_a_subject_is_text_and_never_markup(box: Mailbox) -> None:
    await box.send(a_mail(subject="<img src=x onerror=alert(1)>"))

    for page in (await box.get("/"), await box.open_newest()):
        assert "<img" not in page.text
        assert "&lt;img" in page.text


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n",
        b"Subject: =?nonsense?Q?x?=\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x",
        b"Content-Type: application/pdf\r\n\r\n%PDF",
        b"Content-Type: image/png/../..\r\nContent-Disposition: attachment\r\n\r\nx",
    ],
)
async def test_a_strange_mail_is_still_a_page(box: Mailbox, raw: bytes) -> None:
    store.keep(box.folder, raw, ["a@b.example"], now=datetime.now(UTC))

    assert (await box.get("/")).status_code == 200
    assert (await box.open_newest()).status_code == 200


@pytest.mark.parametrize("mail_id", ["nothing", "%2e%2e%2fnothing", "%2fetc%2fpasswd", "*"])
async def test_only_names_of_mails_are_looked_up(box: Mailbox, mail_id: str) -> None:
    (box.folder / "nothing.eml").write_bytes(b"Subject: not ours\r\n\r\n")

    assert (await box.get(f"/mails/{mail_id}")).status_code == 404
    inbox = await box.get("/")
    assert inbox.status_code == 200
    assert "not ours" not in inbox.text


async def test_a_page_under_another_name_cannot_read_the_mail(box: Mailbox) -> None:
    answer = await box.browser.get("/", headers={"Host": "evil.example"})

    assert answer.status_code == 421
    assert "Mailbox" not in answer.text


async def test_mails_are_for_the_eyes_of_their_owner(box: Mailbox) -> None:
    assert box.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: x\r\nContent-Type: text/plain; charset=idna\r\n\r\n\xff\xfe\r\n",
        b"Subject: x\r\nMessage-ID: <[\r\n\r\nhello\r\n",
        b"Subject: x\r\nTo: =?utf-8?q?=00=0A?=\r\n\r\nhello\r\n",
    ],
)
def test_a_mail_that_cannot_be_read_hides_no_other(tmp_path: Path, raw: bytes) -> None:
    store.keep(tmp_path, b"Subject: Good\r\n\r\nhello\r\n", ["a@example.com"], now=NOON)
    store.keep(tmp_path, raw, ["a@example.com"], now=NOON)

    subjects = {dict(mail.headers)["Subject"] for mail in store.newest(tmp_path)}

    assert "Good" in subjects
    assert len(store.newest(tmp_path)) == 2
