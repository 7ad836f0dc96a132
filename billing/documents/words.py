"""Every word we print on a document, in French and in English.

The mentions are those of CGI ann. II art. 242 nonies A and C. com. art. L441-9, L441-10 and D441-5.
The French ones are only printed for sellers in France. What stands in braces is filled in by page.py.
"""

from billing.credit_notes.model import Modality, Reason
from billing.invoices.model import DocumentKind, InvoiceKind
from billing.parties.model import Language, VatDue
from billing.payments.model import Means
from billing.tax.model import Category, TaxBehavior
from kernel.structs import Value


class PriceWords(Value, frozen=True, kw_only=True):
    """How prices are called that are without VAT, or with it; `mention` says the latter."""

    unit_price: str
    discount: str
    amounts: tuple[str, ...]
    credited: tuple[str, ...]
    mention: str


class Words(Value, frozen=True, kw_only=True):
    invoices: dict[InvoiceKind, str]
    credit_note: str
    page: str

    # who
    billed_to: str
    vat_number: str
    siren: str
    share_capital: str

    # when and what
    issued_on: str
    due_on: str
    supplied_on: str
    currency: str
    original_invoice: str
    original_invoice_of: str
    references: dict[InvoiceKind, dict[DocumentKind, str]]
    contract: str
    rebate_period: str
    source: str
    sources: str
    rebate: str
    rebate_quantity: str
    rebate_before: str
    rebate_carried: dict[bool, str]
    modes: dict[bool, str]
    reason: str
    reason_in_full: str
    reasons: dict[Reason, str]

    # lines
    description: str
    quantity: str
    prices: dict[TaxBehavior, PriceWords]
    allowance: str
    vat: str

    # totals
    vat_rate: str
    vat_base: str
    vat_amount: str
    total_net: str
    total_vat: str
    total: str
    deducted: str
    deposits: str
    deposits_deducted: str
    deposit_of: str
    left: str
    amount_due: str
    amount_credited: str
    mentions: dict[Category, str]
    net_of_tax: str

    # how it is paid, or given back
    payment: str
    nothing_to_pay: str
    charged: str
    to_transfer: str
    iban: str
    bic: str
    payment_reference: str
    by_transfer: str
    by_agreement: str
    receipt: str
    received: tuple[str, ...]
    paid_on: str
    still_due: str
    means: dict[Means, str]
    by_note: str
    by_method: str
    refund: str
    modalities: dict[Modality, str]
    to_invoice: str
    to_invoices: str
    to_provider: str
    to_provider_on: str
    by_hand: str
    by_card: str
    by_voucher: str
    to_balance: str

    # the law
    services: str
    vat_due: dict[VatDue, str]
    late_payment: str
    no_early_discount: str
    early_discount: str
    deduction: str


def _each(invoice: str, credit_note: str) -> dict[DocumentKind, str]:
    return {DocumentKind.INVOICE: invoice, DocumentKind.CREDIT_NOTE: credit_note}


FRENCH = Words(
    invoices={
        InvoiceKind.STANDARD: "Facture",
        InvoiceKind.DEPOSIT: "Facture d’acompte",
        InvoiceKind.FINAL: "Facture de solde",
        InvoiceKind.CORRECTED: "Facture rectificative",
        InvoiceKind.REVERSAL: "Facture",
        InvoiceKind.IMPORTED: "Facture",
    },
    credit_note="Facture d’avoir",
    page="Page",
    billed_to="Facturé à",
    vat_number="N° TVA",
    siren="SIREN",
    share_capital="au capital de",
    issued_on="Date d’émission",
    due_on="Échéance",
    supplied_on="Date de la prestation",
    currency="Devise",
    original_invoice="Facture d’origine",
    original_invoice_of="{number} du {date}",
    references={
        InvoiceKind.STANDARD: _each("Facture", "Avoir"),
        InvoiceKind.DEPOSIT: _each("Facture", "Avoir"),
        InvoiceKind.FINAL: _each("Acompte", "Avoir"),
        InvoiceKind.CORRECTED: _each("Annule et remplace la facture", "Annulée par l’avoir"),
        InvoiceKind.REVERSAL: _each("Facture d’origine", "Annule l’avoir"),
        InvoiceKind.IMPORTED: _each("Facture", "Avoir"),
    },
    contract="Contrat",
    rebate_period="Période",
    source="Facture {number} du {date}",
    sources="{count} factures émises du {starts} au {ends}",
    rebate="Chiffre d’affaires de la période\u00a0: {volume} HT{quantity}. "
    "Palier atteint\u00a0: {rate}, {mode}. Ristourne acquise\u00a0: {earned}{before}{carried}.",
    rebate_quantity=", soit {quantity} unités",
    rebate_before=", dont {amount} déjà accordés",
    rebate_carried={
        False: ", plus {amount} restés à accorder des périodes précédentes",
        True: ", moins {amount} accordés en trop sur les périodes précédentes",
    },
    modes={False: "sur tout le volume", True: "par tranche"},
    reason="Motif",
    reason_in_full="Motif\u00a0: {text}",
    reasons={
        Reason.BILLING_ERROR: "Erreur de facturation",
        Reason.CANCELLATION: "Résiliation",
        Reason.RETURN_OR_DISPUTE: "Retour ou contestation",
        Reason.COMMERCIAL_GESTURE: "Geste commercial",
        Reason.REBATE: "Ristourne",
        Reason.EARLY_PAYMENT: "Escompte pour paiement anticipé",
        Reason.DUPLICATE: "Facturé deux fois",
        Reason.FRAUD: "Fraude",
        Reason.OTHER: "Autre",
    },
    description="Désignation",
    quantity="Quantité",
    prices={
        TaxBehavior.EXCLUSIVE: PriceWords(
            unit_price="Prix unit. HT",
            discount="Remise HT",
            amounts=("Montant HT",),
            credited=("Montant HT crédité",),
            mention="",
        ),
        TaxBehavior.INCLUSIVE: PriceWords(
            unit_price="Prix unit. TTC",
            discount="Remise TTC",
            amounts=("Montant HT", "Montant TTC"),
            credited=("Montant HT crédité", "Montant TTC crédité"),
            mention="Les prix et les remises s’entendent toutes taxes comprises.",
        ),
    },
    allowance="{name}\u00a0: −{amount}",
    vat="TVA",
    vat_rate="Taux de TVA",
    vat_base="Base HT",
    vat_amount="TVA",
    total_net="Total HT",
    total_vat="Total TVA",
    total="Total TTC",
    deducted="Avoir {number} déduit",
    deposits="Acomptes déjà facturés",
    deposits_deducted="Acomptes déduits",
    deposit_of="Acompte {number} du {date}",
    left="Reste à payer",
    amount_due="Net à payer",
    amount_credited="Net à votre crédit",
    mentions={
        Category.STANDARD: "",
        Category.ZERO_RATED: "Taux zéro",
        Category.EXEMPT: "",
        Category.REVERSE_CHARGE: "Autoliquidation",
        Category.INTRA_COMMUNITY: "Opération intracommunautaire exonérée",
        Category.EXPORT: "Exportation exonérée",
        Category.OUT_OF_SCOPE: "Hors champ de la TVA",
    },
    net_of_tax="Net de taxe\u00a0: la TVA facturée n’est pas rectifiée",
    payment="Règlement",
    nothing_to_pay="Rien à payer\u00a0: cette facture est soldée dès son émission.",
    charged="Rien à faire de votre côté\u00a0: le montant est prélevé sur votre moyen de "
    "paiement enregistré.",
    to_transfer="À régler au plus tard le {date}.",
    iban="IBAN",
    bic="BIC",
    payment_reference="Référence à rappeler",
    by_transfer="Pour la régler par virement\u00a0: IBAN {iban}, référence {number}.",
    by_agreement="Merci de nous écrire pour convenir du moyen de paiement.",
    receipt="{title} acquittée",
    received=("Date", "Règlement", "Montant"),
    paid_on="Cette facture a été entièrement réglée le {date}.",
    still_due="Reste à payer",
    means={
        Means.PROVIDER: "Moyen de paiement enregistré",
        Means.TRANSFER: "Virement",
        Means.CARD: "Carte bancaire",
        Means.DIRECT_DEBIT: "Prélèvement",
        Means.CHECK: "Chèque",
        Means.CASH: "Espèces",
        Means.OTHER: "Autre moyen",
    },
    by_note="Avoir {number}",
    by_method="Merci de vérifier votre moyen de paiement, ou de nous écrire pour convenir d’un autre.",
    refund="Remboursement",
    modalities={
        Modality.TRANSFER: "Remboursement par virement",
        Modality.CARD: "Remboursement par carte bancaire",
        Modality.DEDUCTION: "Imputation sur factures",
        Modality.VOUCHER: "Bon d’achat",
    },
    to_invoice="{amount} viennent en déduction de la facture {number}, qui n’était pas réglée.",
    to_invoices="{amount} viennent en déduction des factures ci-dessus qui n’étaient pas réglées.",
    to_provider="{amount} sont remboursés sur votre moyen de paiement d’origine.",
    to_provider_on="{amount} seront remboursés le {date} sur votre moyen de paiement d’origine.",
    by_hand="{amount} vous sont remboursés par virement, ou par un autre moyen convenu avec vous.",
    by_card="{amount} vous sont remboursés sur votre carte bancaire.",
    by_voucher="{amount} vous sont remis sous forme de bon d’achat.",
    to_balance="{amount} restent à votre crédit et se déduisent de vos prochaines factures.",
    services="Nature des opérations\u00a0: prestations de services.",
    vat_due={
        VatDue.ON_PAYMENT: "TVA acquittée sur les encaissements.",
        VatDue.ON_INVOICE: "Option pour le paiement de la taxe d’après les débits\u00a0: "
        "TVA acquittée d’après les débits.",
    },
    late_payment="Clients professionnels\u00a0: en cas de retard de paiement, des pénalités au taux "
    "de refinancement de la BCE majoré de 10 points sont exigibles dès le lendemain de "
    "l’échéance, ainsi qu’une indemnité forfaitaire pour frais de recouvrement de 40\u00a0€ "
    "(C. com. art. L441-10 et D441-5).",
    no_early_discount="Escompte pour paiement anticipé\u00a0: néant.",
    early_discount="Escompte pour paiement anticipé\u00a0: {terms}.",
    deduction="Si vous avez déduit la TVA correspondante, votre déduction est à réduire "
    "de la TVA de cet avoir (CGI art. 272-1).",
)

ENGLISH = Words(
    invoices={
        InvoiceKind.STANDARD: "Invoice",
        InvoiceKind.DEPOSIT: "Deposit invoice",
        InvoiceKind.FINAL: "Final invoice",
        InvoiceKind.CORRECTED: "Corrected invoice",
        InvoiceKind.REVERSAL: "Invoice",
        InvoiceKind.IMPORTED: "Invoice",
    },
    credit_note="Credit note",
    page="Page",
    billed_to="Billed to",
    vat_number="VAT no.",
    siren="SIREN",
    share_capital="with a share capital of",
    issued_on="Issue date",
    due_on="Due date",
    supplied_on="Date of supply",
    currency="Currency",
    original_invoice="Original invoice",
    original_invoice_of="{number} of {date}",
    references={
        InvoiceKind.STANDARD: _each("Invoice", "Credit note"),
        InvoiceKind.DEPOSIT: _each("Invoice", "Credit note"),
        InvoiceKind.FINAL: _each("Deposit", "Credit note"),
        InvoiceKind.CORRECTED: _each("Cancels and replaces invoice", "Cancelled by credit note"),
        InvoiceKind.REVERSAL: _each("Original invoice", "Takes back credit note"),
        InvoiceKind.IMPORTED: _each("Invoice", "Credit note"),
    },
    contract="Contract",
    rebate_period="Period",
    source="Invoice {number} of {date}",
    sources="{count} invoices issued from {starts} to {ends}",
    rebate="Turnover of the period: {volume} excl. VAT{quantity}. Tier reached: {rate}, {mode}. "
    "Rebate earned: {earned}{before}{carried}.",
    rebate_quantity=", {quantity} units",
    rebate_before=", of which {amount} has been given before",
    rebate_carried={
        False: ", plus {amount} left to give for earlier periods",
        True: ", less {amount} given too much for earlier periods",
    },
    modes={False: "on the whole volume", True: "tier by tier"},
    reason="Reason",
    reason_in_full="Reason: {text}",
    reasons={
        Reason.BILLING_ERROR: "Billing error",
        Reason.CANCELLATION: "Cancellation",
        Reason.RETURN_OR_DISPUTE: "Return or dispute",
        Reason.COMMERCIAL_GESTURE: "Goodwill gesture",
        Reason.REBATE: "Rebate",
        Reason.EARLY_PAYMENT: "Early-payment discount",
        Reason.DUPLICATE: "Billed twice",
        Reason.FRAUD: "Fraud",
        Reason.OTHER: "Other",
    },
    description="Description",
    quantity="Quantity",
    prices={
        TaxBehavior.EXCLUSIVE: PriceWords(
            unit_price="Unit price",
            discount="Discount",
            amounts=("Net amount",),
            credited=("Net credited",),
            mention="",
        ),
        TaxBehavior.INCLUSIVE: PriceWords(
            unit_price="Unit price incl. VAT",
            discount="Discount incl. VAT",
            amounts=("Net amount", "Amount incl. VAT"),
            credited=("Net credited", "Credited incl. VAT"),
            mention="Prices and discounts include VAT.",
        ),
    },
    allowance="{name}: −{amount}",
    vat="VAT",
    vat_rate="VAT rate",
    vat_base="Net",
    vat_amount="VAT",
    total_net="Total excl. VAT",
    total_vat="Total VAT",
    total="Total incl. VAT",
    deducted="Credit note {number} deducted",
    deposits="Deposits already invoiced",
    deposits_deducted="Deposits deducted",
    deposit_of="Deposit {number} of {date}",
    left="Left to pay",
    amount_due="Amount due",
    amount_credited="Net to credit",
    mentions={
        Category.STANDARD: "",
        Category.ZERO_RATED: "Zero-rated",
        Category.EXEMPT: "",
        Category.REVERSE_CHARGE: "Reverse charge",
        Category.INTRA_COMMUNITY: "Exempt intra-Community supply",
        Category.EXPORT: "Exempt export",
        Category.OUT_OF_SCOPE: "Outside the scope of VAT",
    },
    net_of_tax="Net of tax: the VAT that was invoiced is not corrected",
    payment="Payment",
    nothing_to_pay="Nothing to pay: this invoice is settled from the day it was issued.",
    charged="Nothing to do on your side: the amount is charged to your registered payment method.",
    to_transfer="To be paid by {date}.",
    iban="IBAN",
    bic="BIC",
    payment_reference="Reference to quote",
    by_transfer="To pay it by bank transfer: IBAN {iban}, reference {number}.",
    by_agreement="Please write to us to agree on a means of payment.",
    receipt="Paid {of}",
    received=("Date", "Settled by", "Amount"),
    paid_on="This invoice was paid in full on {date}.",
    still_due="Left to pay",
    means={
        Means.PROVIDER: "Registered payment method",
        Means.TRANSFER: "Bank transfer",
        Means.CARD: "Card",
        Means.DIRECT_DEBIT: "Direct debit",
        Means.CHECK: "Check",
        Means.CASH: "Cash",
        Means.OTHER: "Other means",
    },
    by_note="Credit note {number}",
    by_method="Please check your payment method, or write to us to agree on another.",
    refund="Refund",
    modalities={
        Modality.TRANSFER: "Refund by bank transfer",
        Modality.CARD: "Refund by card",
        Modality.DEDUCTION: "Deduction from invoices",
        Modality.VOUCHER: "Voucher",
    },
    to_invoice="{amount} is deducted from invoice {number}, which had not been paid.",
    to_invoices="{amount} is deducted from those of the invoices above that had not been paid.",
    to_provider="{amount} is refunded to your original means of payment.",
    to_provider_on="{amount} will be refunded to your original means of payment on {date}.",
    by_hand="{amount} is refunded to you by bank transfer, or by other means agreed with you.",
    by_card="{amount} is refunded to your card.",
    by_voucher="{amount} is given to you as a voucher.",
    to_balance="{amount} stays on your account and is deducted from your next invoices.",
    services="Nature of the transactions: supply of services.",
    vat_due={
        VatDue.ON_PAYMENT: "VAT due on receipt of payment (TVA acquittée sur les encaissements).",
        VatDue.ON_INVOICE: "VAT due on invoicing, as opted for (TVA acquittée d’après les débits).",
    },
    late_payment="Business customers: late payment bears interest at the ECB refinancing rate plus "
    "10 percentage points from the day after the due date, and a fixed recovery indemnity of €40 "
    "(French Commercial Code, art. L441-10 and D441-5).",
    no_early_discount="No discount for early payment.",
    early_discount="Discount for early payment: {terms}.",
    deduction="If you deducted the corresponding VAT, your deduction is to be reduced by "
    "the VAT of this credit note (CGI art. 272-1).",
)

WORDS = {Language.FRENCH: FRENCH, Language.ENGLISH: ENGLISH}
