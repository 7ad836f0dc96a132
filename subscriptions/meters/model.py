"""A meter says what is counted, and how the records of a period become one quantity."""

from datetime import datetime
from enum import StrEnum

from kernel.ids import Id
from kernel.structs import Input, Value
from kernel.text import Name, Reference


class MeterId(Id, prefix="mtr"):
    """What is counted: API calls, seats, gigabytes."""


class Aggregation(StrEnum):
    """What the records of a period come to."""

    SUM = "sum"  # their quantities added up; of records without one, how many there are
    MAX = "max"  # the highest quantity
    LAST = "last"  # the quantity of the one that is latest by its time
    UNIQUE = "unique"  # how many different values there are


class NewMeter(Input, frozen=True, kw_only=True):
    """`name` stands on invoices. How it counts cannot be changed: make another meter."""

    reference: Reference
    name: Name
    aggregation: Aggregation = Aggregation.SUM


class Meter(Value, frozen=True, kw_only=True):
    id: MeterId
    reference: Reference
    name: Name
    aggregation: Aggregation
    created_at: datetime
