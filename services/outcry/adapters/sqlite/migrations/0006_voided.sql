-- An order that never reached the market has no event of the engine. Who voids it notes it here under a number that
-- grows, by which the streams tell its account; it is kept for a day.
CREATE TABLE voided (
  number     INTEGER PRIMARY KEY,
  time_ms    INTEGER NOT NULL,
  account_id INTEGER NOT NULL,
  order_id   INTEGER NOT NULL
) STRICT;
CREATE INDEX voided_by_time ON voided (time_ms);
