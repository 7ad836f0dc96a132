"""Mails to customers, to read as they were sent."""

from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from api.console import store
from api.console.declare import page
from api.console.here import Here
from api.console.views import show
from kernel.database import Tx
from kernel.paging import Window
from notifications.model import MailId


@page("/console/{tenant_id}/mails")
async def list_mails(
    tx: NamedDependency[Tx], window: NamedDependency[Window], here: NamedDependency[Here]
) -> Template:
    return show(here, "mails.html", page=await store.mails(tx, window))


@page("/console/{tenant_id}/mails/{mail_id}")
async def one_mail(
    tx: NamedDependency[Tx], mail_id: FromPath[MailId], here: NamedDependency[Here]
) -> Template:
    return show(here, "mail.html", mail=await store.mail(tx, mail_id))


ROUTES = [list_mails, one_mail]
