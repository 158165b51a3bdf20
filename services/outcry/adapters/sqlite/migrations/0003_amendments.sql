-- What amends did to orders: GET /api/v3/order/amendments.

CREATE TABLE amendments (
  part                INTEGER NOT NULL,
  execution_id        INTEGER NOT NULL,
  log_offset          INTEGER NOT NULL,
  symbol_id           INTEGER NOT NULL,
  account_id          INTEGER NOT NULL,
  order_id            INTEGER NOT NULL,
  old_client_order_id TEXT NOT NULL,
  new_client_order_id TEXT NOT NULL,
  old_qty             INTEGER NOT NULL,
  new_qty             INTEGER NOT NULL,
  time_ms             INTEGER NOT NULL,
  PRIMARY KEY (part, log_offset, execution_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX amendments_of_order ON amendments (order_id, execution_id);
