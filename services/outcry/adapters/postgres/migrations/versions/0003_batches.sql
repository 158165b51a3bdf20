-- What the statement that commits a small batch is given: an array of rows for each kind, named as in outcry.rows.

CREATE TYPE advance_row AS (
  part          int,
  epoch         bigint,
  from_offset   bigint,
  to_offset     bigint,
  log_time      bigint,
  rules_version int,
  event_seq     bigint,
  state_hash    bigint,
  log_hash      bytea,
  tail_hash     bytea
);

CREATE TYPE mark_row AS (
  order_id       bigint,
  part           int,
  held           bigint,
  applied_offset bigint,
  open           smallint
);

CREATE TYPE told_row AS (
  part        int,
  from_offset bigint,
  to_offset   bigint,
  payload     bytea
);

-- The others are their tables' rows as of this version. They are not the tables' own types: a column that a later
-- version adds to a table would change those under the engines of this one, which go on until they are replaced.
DO $$
DECLARE
  types CONSTANT text[][] := ARRAY[
    ['orders', 'order_row'], ['trades', 'trade_row'], ['postings', 'posting_row'],
    ['symbol_state', 'symbol_row'], ['candles', 'candle_row']];
  entry text[]; columns text;
BEGIN
  FOREACH entry SLICE 1 IN ARRAY types LOOP
    SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) INTO columns
      FROM pg_attribute WHERE attrelid = entry[1]::regclass AND attnum > 0 AND NOT attisdropped;
    EXECUTE format('CREATE TYPE %I AS (%s)', entry[2], columns);
  END LOOP;
END $$;

-- True, or the end of the whole statement with all that it has done: for what must hold in the middle of one.
CREATE FUNCTION outcry_insist(holds boolean, what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF holds THEN
    RETURN true;
  END IF;
  RAISE EXCEPTION '%', what USING ERRCODE = 'OU001';
END $$;
