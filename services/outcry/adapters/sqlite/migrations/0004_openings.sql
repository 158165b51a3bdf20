-- What an account's trades of a symbol had come to when retention deleted them: positions go on from there.

CREATE TABLE openings (
  account_id INTEGER NOT NULL,
  symbol_id  INTEGER NOT NULL,
  next_trade INTEGER NOT NULL,  -- the account's trades before this id are in the row, and gone
  qty        TEXT NOT NULL,     -- whole numbers in decimal: sums over years may outgrow 64 bits
  cost       TEXT NOT NULL,
  realised   TEXT NOT NULL,
  base_fees  TEXT NOT NULL,
  quote_fees TEXT NOT NULL,
  fills      INTEGER NOT NULL,
  since_ms   INTEGER NOT NULL,
  PRIMARY KEY (account_id, symbol_id)
) STRICT, WITHOUT ROWID;
