"""A settlement is money or a credit note matched to an invoice: an edge of the settlement graph."""

from kernel.ids import Id


class SettlementId(Id, prefix="stl"):
    """One edge, from a payment or a credit note to an invoice."""
