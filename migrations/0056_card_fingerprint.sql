-- By which card a customer is known who comes back under another name.

ALTER TABLE customers ADD COLUMN card_fingerprint text;
COMMENT ON COLUMN customers.card_fingerprint IS 'the provider''s: the same card has the same one; of the payment method that is kept';
GRANT UPDATE (card_fingerprint) ON customers TO ristourne_app;
