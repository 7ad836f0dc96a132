"""Every page, in the order of the navigation."""

from api.console.pages import (
    assets,
    credit_notes,
    customers,
    home,
    invitation,
    invoices,
    keys,
    mails,
    sessions,
    sign_in,
    subscriptions,
)

ROUTES = [
    *assets.ROUTES,
    *sign_in.ROUTES,
    *invitation.ROUTES,
    *home.ROUTES,
    *sessions.ROUTES,
    *customers.ROUTES,
    *subscriptions.ROUTES,
    *invoices.ROUTES,
    *credit_notes.ROUTES,
    *mails.ROUTES,
    *keys.ROUTES,
]
