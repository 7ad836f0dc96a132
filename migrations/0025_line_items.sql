-- What a line is for, by the reference of its plan or add-on, and whether offers could take something off it.

ALTER TABLE invoice_lines ADD COLUMN item text;
COMMENT ON COLUMN invoice_lines.item IS 'reference of the plan or add-on, null for what is neither (EN 16931 BT-155)';
ALTER TABLE invoice_lines ADD COLUMN discountable boolean NOT NULL DEFAULT true;
