-- How a number reads, in one place: one document and a block of thousands are numbered by the same words.
CREATE FUNCTION document_number(form text, year integer, n bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT
RETURN replace(replace(form, '{year}', year::text), '{number}', lpad(n::text, GREATEST(6, length(n::text)), '0'));
