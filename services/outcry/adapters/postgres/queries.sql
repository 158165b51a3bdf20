-- The longer queries of the ledger, each under its name. A word in braces is filled in by the caller.

-- name: balances_of_accounts
-- Folded money and the postings that are committed and not folded yet, in one moment. No index leads to an account's
-- postings: all that are not folded yet are read, once for all accounts that are asked for (IS TRUE: as a join they were
-- read once for each).
WITH asked AS MATERIALIZED (SELECT DISTINCT unnest(CAST(:ids AS bigint[])) AS account_id)
SELECT account_id, asset_id, sum(free)::bigint AS free, sum(held)::bigint AS held FROM (
  SELECT b.account_id, b.asset_id, b.free, b.held FROM asked JOIN balances b USING (account_id)
  UNION ALL
  SELECT p.account_id, p.asset_id, p.free_delta, p.held_delta
    FROM (SELECT e.part, coalesce(f.log_offset, 0) AS log_offset
            FROM engine_partition e LEFT JOIN folded f USING (part) WHERE e.topic = :topic) AS at,
         LATERAL (SELECT * FROM postings p WHERE p.part = at.part AND p.log_offset >= at.log_offset
                   ORDER BY p.log_offset) AS p
   WHERE (p.account_id IN (SELECT account_id FROM asked)) IS TRUE
) AS money GROUP BY account_id, asset_id

-- name: last_prevented
-- The newest match of each order that self-trade prevention stopped.
SELECT order_id, greatest(
         (SELECT max(prevented_id) FROM prevented WHERE maker_order = order_id),
         (SELECT max(prevented_id) FROM prevented WHERE taker_order = order_id)) AS prevented_id
  FROM unnest(CAST(:ids AS bigint[])) AS wanted (order_id)

-- name: fills_of_account
-- Trades on either side of the account. {maker} and {taker} narrow it to one order, {direction} is ASC or DESC. The
-- list of one account is there so that no plan can go through the trades of others (see ``along``).
SELECT * FROM (
  (SELECT {columns} FROM trades
    WHERE maker_account = ANY (ARRAY[CAST(:account_id AS bigint)]) AND symbol_id = :symbol_id
      AND trade_id BETWEEN :first AND :last AND time_ms BETWEEN :since AND :until {maker}
    ORDER BY maker_account {direction}, trade_id {direction} LIMIT :limit)
  UNION
  (SELECT {columns} FROM trades
    WHERE taker_account = ANY (ARRAY[CAST(:account_id AS bigint)]) AND symbol_id = :symbol_id
      AND trade_id BETWEEN :first AND :last AND time_ms BETWEEN :since AND :until {taker}
    ORDER BY taker_account {direction}, trade_id {direction} LIMIT :limit)
) AS own ORDER BY trade_id {direction} LIMIT :limit

-- name: first_trade
-- Bisects a symbol's trades of a time for the first id whose {column} is at least the wanted one, as ids, times, offsets
-- and aggregates grow together; one past the last when there is none, NULL when there are no trades at all.
WITH RECURSIVE step (lo, hi) AS (
  (SELECT least(oldest, newest), newest + 1
     FROM (SELECT (SELECT trade_id FROM trades WHERE symbol_id = :symbol AND time_ms BETWEEN :since AND :until
                    ORDER BY trade_id LIMIT 1) AS oldest,
                  (SELECT trade_id FROM trades WHERE symbol_id = :symbol AND time_ms BETWEEN :since AND :until
                    ORDER BY trade_id DESC LIMIT 1) AS newest) AS ends)
  UNION ALL
  SELECT CASE WHEN probe.value < :wanted THEN probe.trade_id + 1 ELSE lo END,
         CASE WHEN probe.value < :wanted THEN hi ELSE (lo + hi) / 2 END
    FROM step LEFT JOIN LATERAL (
      SELECT trade_id, {column} AS value FROM trades
       WHERE symbol_id = :symbol AND trade_id >= (lo + hi) / 2 AND trade_id < hi AND time_ms BETWEEN :since AND :until
       ORDER BY trade_id LIMIT 1) AS probe ON true
   WHERE lo < hi
)
SELECT lo FROM step WHERE lo >= hi

-- name: first_order
-- Bisects all orders for the first id that was placed at a time or later; one past the last when there is none.
WITH RECURSIVE step (lo, hi) AS (
  (SELECT (SELECT min(order_id) FROM orders), (SELECT max(order_id) FROM orders) + 1)
  UNION ALL
  SELECT CASE WHEN probe.placed_ms < :time THEN probe.order_id + 1 ELSE lo END,
         CASE WHEN probe.placed_ms < :time THEN hi ELSE (lo + hi) / 2 END
    FROM step LEFT JOIN LATERAL (
      SELECT order_id, placed_ms FROM orders WHERE order_id >= (lo + hi) / 2 AND order_id < hi
       ORDER BY order_id LIMIT 1) AS probe ON true
   WHERE lo < hi
)
SELECT lo FROM step WHERE lo >= hi

-- name: balances_of_all
-- Everybody's money, postings that are not folded yet included.
SELECT account_id, asset_id, sum(free)::bigint, sum(held)::bigint FROM (
  SELECT account_id, asset_id, free, held FROM balances
  UNION ALL
  SELECT p.account_id, p.asset_id, p.free_delta, p.held_delta
    FROM (SELECT e.part, coalesce(f.log_offset, 0) AS log_offset
            FROM engine_partition e LEFT JOIN folded f USING (part) WHERE e.topic = :topic) AS at
    JOIN postings p ON p.part = at.part AND p.log_offset >= at.log_offset
) AS money GROUP BY account_id, asset_id ORDER BY account_id, asset_id

-- name: needs_of_all
-- What open orders and orders on their way hold, by account and asset.
SELECT account_id, asset_id, sum(held)::bigint FROM (
  SELECT i.account_id, i.asset_id, o.held FROM orders o JOIN intake i USING (order_id) WHERE o.open = 1
  UNION ALL
  SELECT account_id, asset_id, held FROM intake WHERE applied_offset IS NULL
) AS needs GROUP BY account_id, asset_id HAVING sum(held) <> 0 ORDER BY account_id, asset_id

-- name: transfers_by_asset
-- Deposits less withdrawals.
SELECT asset_id, sum(amount)::bigint FROM transfers GROUP BY asset_id ORDER BY asset_id

-- name: strays
-- Orders whose outcome the two tables that know them tell differently. Before the oldest checkpoint a closed order
-- may be gone.
SELECT order_id FROM (
  SELECT order_id FROM orders o WHERE open = 1
     AND NOT EXISTS (SELECT 1 FROM intake i WHERE i.order_id = o.order_id AND i.open = 1 AND i.applied_offset >= 0)
  UNION
  SELECT order_id FROM intake i WHERE open = 1 AND applied_offset IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.order_id = i.order_id AND o.open = 1)
  UNION
  SELECT order_id FROM intake i JOIN orders o USING (order_id)
   WHERE (i.applied_offset, i.open, i.part, i.account_id, i.symbol_id)
         IS DISTINCT FROM (o.applied_offset, o.open, o.part, o.account_id, o.symbol_id)
  UNION
  SELECT order_id FROM intake i
   WHERE applied_offset >= coalesce((SELECT min(next_offset) FROM checkpoints c WHERE c.part = i.part), 0)
     AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.order_id = i.order_id)
) AS found ORDER BY order_id LIMIT :limit

-- name: note
INSERT INTO audit (time_ms, actor, action, subject, detail)
VALUES (outcry_now_ms(), :actor, :action, :subject, :detail)

-- name: claim_reference
-- Waits for another transfer of the reference to end; no row is written when that one moved money.
INSERT INTO transfers (time_ms, account_id, asset_id, amount, reference, actor)
VALUES (outcry_now_ms(), :account, :asset, :amount, :reference, :actor) ON CONFLICT (reference) DO NOTHING

-- name: find_transfer
SELECT account_id, asset_id, amount, asset FROM transfers JOIN assets USING (asset_id) WHERE reference = :reference

-- name: open_pockets
INSERT INTO balances (account_id, asset_id, free, held)
SELECT account_id, :asset, 0, 0 FROM unnest(ARRAY[:world, :account]::bigint[]) AS pockets (account_id)
ON CONFLICT DO NOTHING

-- name: lock_pockets
-- In the order in which everybody locks balances.
SELECT account_id, free FROM balances WHERE asset_id = :asset AND account_id IN (:world, :account)
 ORDER BY account_id, asset_id FOR UPDATE

-- name: move_money
UPDATE balances SET free = free + CASE account_id WHEN :world THEN -CAST(:amount AS bigint) ELSE CAST(:amount AS bigint) END
 WHERE asset_id = :asset AND account_id IN (:world, :account)

-- name: add_asset
INSERT INTO assets (asset_id, asset) SELECT coalesce(max(asset_id), 0) + 1, :asset FROM assets
RETURNING asset_id, asset

-- name: put_history
-- Never over a candle that trades made.
INSERT INTO candles (symbol_id, interval_ms, open_ms, open, high, low, close, volume, amount, trades, taker_buy_volume,
                     taker_buy_amount, first_trade, last_trade)
SELECT * FROM unnest(:symbol_id, :interval_ms, :open_ms, :open, :high, :low, :close, :volume, :amount, :trades,
                     :taker_buy_volume, :taker_buy_amount, :first_trade, :last_trade)
ON CONFLICT DO NOTHING

-- name: named_trades
--- Trades by symbol (:symbols), id (:ids) and time of log (:times); one that is not there is left out.
SELECT t.* FROM unnest(CAST(:symbols AS int[]), CAST(:ids AS bigint[]), CAST(:times AS bigint[]))
  AS w (symbol_id, trade_id, time_ms), LATERAL (
  SELECT {columns} FROM trades t WHERE t.symbol_id = w.symbol_id AND t.trade_id = w.trade_id AND t.time_ms = w.time_ms
  LIMIT 1) t
