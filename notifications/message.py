"""A mail as it goes over the wire: text, the same as simple HTML, and the PDFs. Pure."""

import html
from email.headerregistry import Address
from email.message import EmailMessage

from email_validator import validate_email

from notifications.model import Letter, Mail


def message_of(mail: Mail, letter: Letter) -> EmailMessage:
    """The words are those of the mail as queued; the letter adds names and the attachments."""
    message = EmailMessage()
    message["Message-ID"] = mail.message_id
    message["Date"] = mail.created_at
    message["From"] = mailbox(letter.from_name, mail.sender)
    message["To"] = mailbox(letter.to_name, mail.recipient)
    message["Reply-To"] = mailbox(letter.from_name, letter.reply_to)
    message["Subject"] = mail.subject
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
    message.add_alternative(_html(mail), subtype="html")
    for attachment in letter.attachments:
        message.add_attachment(
            attachment.content, maintype="application", subtype="pdf", filename=attachment.file_name
        )
    message["Content-Language"] = mail.language  # last: content headers move into the first part
    return message


def mailbox(name: str, address: str) -> Address:
    """A domain travels in ASCII; a line break, were there one, would be a space."""
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        domain = validate_email(address, check_deliverability=False).ascii_domain
    return Address(" ".join(name.split()), username=local, domain=domain)


def _html(mail: Mail) -> str:
    paragraphs = html.escape(mail.body.strip()).replace("\n\n", "</p><p>").replace("\n", "<br>")
    return (
        f'<!doctype html><html lang="{mail.language}"><meta charset="utf-8">'
        '<body style="margin:0;padding:24px;background:#f1f5f4">'
        '<div style="max-width:560px;margin:auto;padding:24px 32px;background:#fff;border-radius:6px;'
        'font:15px/1.55 system-ui,sans-serif;color:#16202e">'
        f"<p>{paragraphs}</p></div></body></html>\n"
    )
