"""From the text of a key to the tenant it opens."""

from api.access import store
from api.access.key_text import Hasher, KeyText
from api.access.store import DirectoryRow
from kernel.database import Conn
from kernel.errors import Invalid

_REMEMBERED = 10_000


class Directory:
    """Remembers what never changes. Whether a key is still good is read in its tenant, every time."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._rows: dict[str, DirectoryRow] = {}

    async def find(self, conn: Conn, key: KeyText) -> DirectoryRow:
        row = self._rows.get(key.public_id) or await store.directory_row(conn, key.public_id)
        if row is None or not self._hasher.matches(key, row.hash):
            raise Invalid("key_unknown", "We know no such API key.")
        self._remember(key.public_id, row)
        return row

    def _remember(self, public_id: str, row: DirectoryRow) -> None:
        if len(self._rows) >= _REMEMBERED and public_id not in self._rows:
            self._rows.pop(next(iter(self._rows)))
        self._rows[public_id] = row
