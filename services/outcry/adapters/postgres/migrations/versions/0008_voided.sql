-- An order that never reached the market has no event of an engine. Who voids it notes it here under a number that
-- grows, though a lower one may be committed after a higher one; it is kept for a day.
CREATE TABLE voided (
  number     bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  time_ms    bigint NOT NULL,
  account_id bigint NOT NULL,
  order_id   bigint NOT NULL
);
CREATE INDEX voided_by_time ON voided (time_ms);

DO $$
DECLARE
  grants CONSTANT text[][] := ARRAY[
    ['api_rw', 'SELECT, INSERT, DELETE ON voided'],
    ['engine_rw', 'SELECT ON voided'],
    ['stream_ro', 'SELECT ON voided']];
  entry text[];
BEGIN
  FOREACH entry SLICE 1 IN ARRAY grants LOOP
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = entry[1]) THEN
      EXECUTE format('GRANT %s TO %I', entry[2], entry[1]);
    END IF;
  END LOOP;
END $$;
