"""Where an admin stands: who they are, which tenants they may open, which one is open."""

from urllib.parse import quote

from api.access.model import Mode
from api.console.access.model import Place, Session
from kernel.ids import TenantId
from kernel.structs import Value


class Section(Value, frozen=True, kw_only=True):
    path: str
    name: str


class Group(Value, frozen=True, kw_only=True):
    name: str
    sections: tuple[Section, ...]


# What there is. A section that comes later takes its place in a group, or brings one: promotions beside
# subscriptions, the portal beside customers, deliveries of webhooks beside mails.
NAVIGATION = (
    Group(
        name="Customers",
        sections=(
            Section(path="customers", name="Customers"),
            Section(path="subscriptions", name="Subscriptions"),
        ),
    ),
    Group(
        name="Documents",
        sections=(
            Section(path="invoices", name="Invoices"),
            Section(path="credit_notes", name="Credit notes"),
        ),
    ),
    Group(name="Deliveries", sections=(Section(path="mails", name="Mails"),)),
    Group(name="Developers", sections=(Section(path="keys", name="API keys"),)),
)


class Here(Value, frozen=True, kw_only=True):
    """`token` goes into every form. Without a session there are no places."""

    path: str
    token: str
    session: Session | None = None
    places: tuple[Place, ...] = ()
    place: Place | None = None

    @property
    def tenant_id(self) -> TenantId:
        assert self.place is not None, "only a page of a tenant asks"
        return self.place.tenant_id

    @property
    def is_live(self) -> bool:
        return self.place is not None and self.place.mode is Mode.LIVE

    @property
    def section(self) -> str:
        """The first part of the path below the tenant: `keys`."""
        return "".join(self.path.split("/")[3:4])

    @property
    def sibling(self) -> Place | None:
        """The same product in the other mode."""
        return next((place for place in self.places if self._is_sibling(place)), None)

    def to(self, *parts: object) -> str:
        """The address of a page in this tenant."""
        return "/".join(["/console", str(self.tenant_id), *(quote(str(part), safe="") for part in parts)])

    def _is_sibling(self, place: Place) -> bool:
        here = self.place
        return (
            here is not None
            and (place.account_id, place.product) == (here.account_id, here.product)
            and place.mode is not here.mode
        )
