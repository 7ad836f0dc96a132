"""The mailbox of `make up`: receives every mail we send here, and shows it in a browser.

For one developer on one machine. It delivers nothing, and what a mail contains runs nowhere: HTML
is shown in a sandboxed frame, and no page allows a script.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template.config import TemplateConfig

from api import clock
from api.mailbox import store
from api.mailbox.store import Attachment, Mail

OUR_NAMES = ("127.0.0.1", "localhost")
HERE = Path(__file__).resolve().parent
PAGES = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; frame-src 'self'; object-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# A mail may style itself and bring pictures along; it fetches nothing and runs nothing.
MAILED_HTML = {
    **PAGES,
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    ),
}


def create_mailbox() -> Litestar:
    """What `ristourne mailbox` serves."""
    return mailbox(Path(os.environ["MAILBOX_FOLDER"]), smtp_port=int(os.environ["MAILBOX_SMTP_PORT"]))


def mailbox(folder: Path, *, smtp_port: int) -> Litestar:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @asynccontextmanager
    async def receiving(_app: Litestar) -> AsyncIterator[None]:
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(Keeper(folder), hostname="localhost", enable_SMTPUTF8=True),
            host="127.0.0.1",
            port=smtp_port,
        )
        async with server:
            yield

    return Litestar(
        route_handlers=[inbox, one_mail, html_of, attachment_of, style],
        dependencies={"folder": Provide(lambda: folder, sync_to_thread=False)},
        template_config=TemplateConfig(directory=HERE / "templates", engine=JinjaTemplateEngine),
        before_request=refuse_other_names,
        lifespan=[receiving],
        openapi_config=None,
    )


def refuse_other_names(request: Request[None, None, State]) -> Response[str] | None:
    """A page elsewhere must not read our mail by giving its own name our address."""
    if _named(request.headers.get("host", "")) in OUR_NAMES:
        return None
    return Response("This mailbox answers on 127.0.0.1 only.", status_code=421)


def _named(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


class Keeper:
    """Takes every mail, from anybody to anybody."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(  # noqa: N802 (aiosmtpd names it)
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes), "we did not ask aiosmtpd to decode"
        mail_id = await asyncio.to_thread(
            store.keep, self.folder, content, envelope.rcpt_tos, now=clock.now()
        )
        return f"250 Kept as {mail_id}"


@get("/", sync_to_thread=True)
def inbox(folder: NamedDependency[Path]) -> Template:
    return Template("inbox.html", context={"mails": store.newest(folder)}, headers=PAGES)


@get("/mails/{mail_id:str}", sync_to_thread=True)
def one_mail(mail_id: FromPath[str], folder: NamedDependency[Path]) -> Template:
    return Template("mail.html", context={"mail": _mail(folder, mail_id)}, headers=PAGES)


@get("/mails/{mail_id:str}/html", sync_to_thread=True)
def html_of(mail_id: FromPath[str], folder: NamedDependency[Path]) -> Response[str]:
    html = _mail(folder, mail_id).html
    if html is None:
        raise NotFoundException("This mail has no HTML.")
    return Response(html, media_type="text/html; charset=utf-8", headers=MAILED_HTML)


@get("/mails/{mail_id:str}/attachments/{position:int}", sync_to_thread=True)
def attachment_of(
    mail_id: FromPath[str], position: FromPath[int], folder: NamedDependency[Path]
) -> Response[bytes]:
    for attachment in _mail(folder, mail_id).attachments:
        if attachment.position == position:
            return _file(attachment)
    raise NotFoundException("This mail has no such attachment.")


@get("/mailbox.css", sync_to_thread=True)
def style() -> Response[bytes]:
    return Response((HERE / "mailbox.css").read_bytes(), media_type="text/css; charset=utf-8")


def _mail(folder: Path, mail_id: str) -> Mail:
    mail = store.find(folder, mail_id)
    if mail is None:
        raise NotFoundException("There is no such mail.")
    return mail


def _file(attachment: Attachment) -> Response[bytes]:
    manner = "inline" if attachment.inline else "attachment"
    name = quote(attachment.name, safe="")
    headers = {
        "Content-Disposition": f"{manner}; filename*=UTF-8''{name}",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(attachment.content, media_type=attachment.media_type, headers=headers)
