"""What happens to rebate programmes."""

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.events import Event
from promotions.rebates.model import RebateAccrualId, RebateContractId, RebateSettlementId


class RebateContractCreated(Event, frozen=True, kw_only=True, tag="rebate_contract.created"):
    rebate_contract_id: RebateContractId


class RebateContractChanged(Event, frozen=True, kw_only=True, tag="rebate_contract.changed"):
    rebate_contract_id: RebateContractId


class RebateSettled(Event, frozen=True, kw_only=True, tag="rebate.settled"):
    """Given by a credit note, or taken back by an invoice."""

    rebate_settlement_id: RebateSettlementId
    rebate_contract_id: RebateContractId
    customer_id: CustomerId
    credit_note_id: CreditNoteId | None
    invoice_id: InvoiceId | None


class RebateAccrued(Event, frozen=True, kw_only=True, tag="rebate.accrued"):
    rebate_accrual_id: RebateAccrualId
    rebate_contract_id: RebateContractId
