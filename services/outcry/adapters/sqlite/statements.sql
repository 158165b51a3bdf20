-- The longer statements of the ledger, each under its name. A word in braces is filled in by the caller.

-- name: newest_order_by_name
-- From the newest chapter of the index by name back to the first that has the name; ends at the account's
-- oldest order.
WITH RECURSIVE chapter (n, oldest) AS (
  SELECT max(order_id) >> 12, min(order_id) >> 12
    FROM (SELECT min(order_id) AS order_id FROM orders INDEXED BY orders_of_account
           WHERE account_id = :account AND symbol_id = :symbol
          UNION ALL
          SELECT max(order_id) FROM orders INDEXED BY orders_of_account
           WHERE account_id = :account AND symbol_id = :symbol)
  UNION ALL
  SELECT n - 1, oldest FROM chapter WHERE n > oldest
)
SELECT found FROM (
  SELECT (SELECT max(order_id) FROM orders INDEXED BY orders_by_name
           WHERE order_id >> 12 = n AND account_id = :account AND client_order_id = :name AND symbol_id = :symbol)
         AS found FROM chapter
) WHERE found IS NOT NULL LIMIT 1

-- name: balances_of_account
-- Folded money and the postings that are committed and not folded yet, in one moment.
SELECT asset_id, sum(free), sum(held) FROM (
  SELECT asset_id, free, held FROM balances WHERE account_id = :account
  UNION ALL
  SELECT asset_id, free_delta, held_delta
    FROM engine_partition AS e CROSS JOIN postings AS p
      ON p.part = e.part AND p.log_offset >= coalesce((SELECT log_offset FROM folded WHERE folded.part = e.part), 0)
   WHERE p.account_id = :account
) GROUP BY asset_id ORDER BY asset_id

-- name: last_prevented
-- The newest match of each order that self-trade prevention stopped; 0 where there is none.
SELECT json_group_array(json_array(order_id, prevented_id)) FROM (
  SELECT value AS order_id,
         max(coalesce((SELECT max(prevented_id) FROM prevented WHERE maker_order = value), 0),
             coalesce((SELECT max(prevented_id) FROM prevented WHERE taker_order = value), 0)) AS prevented_id
    FROM json_each(?)
)

-- name: drop_prevented
-- Old matches that were prevented, but for those that an order still names as its last.
DELETE FROM prevented WHERE (symbol_id, prevented_id) IN (
  SELECT symbol_id, prevented_id FROM prevented AS p INDEXED BY prevented_by_place
   WHERE part = :part AND log_offset < :offset AND NOT EXISTS (
     SELECT 1 FROM orders AS o WHERE o.order_id IN (p.maker_order, p.taker_order) AND p.prevented_id =
       max(coalesce((SELECT max(prevented_id) FROM prevented WHERE maker_order = o.order_id), 0),
           coalesce((SELECT max(prevented_id) FROM prevented WHERE taker_order = o.order_id), 0)))
   LIMIT :limit
)

-- name: fills_of_account
-- Trades on either side of the account. {maker} and {taker} narrow it to one order, {direction} is ASC or DESC.
FROM trades WHERE symbol_id = :symbol AND trade_id IN (
  SELECT trade_id FROM trades INDEXED BY trades_of_maker
   WHERE maker_account = :account AND symbol_id = :symbol AND trade_id BETWEEN :first AND :last {maker}
  UNION
  SELECT trade_id FROM trades INDEXED BY trades_of_taker
   WHERE taker_account = :account AND symbol_id = :symbol AND trade_id BETWEEN :first AND :last {taker}
   ORDER BY trade_id {direction} LIMIT :limit
) ORDER BY trade_id

-- name: first_trade
-- Bisects a symbol's trades: the first id whose {column} is at least the wanted one, or one past the last.
WITH RECURSIVE step (lo, hi) AS (
  SELECT coalesce((SELECT min(trade_id) FROM trades WHERE symbol_id = :symbol), 1),
         coalesce((SELECT max(trade_id) FROM trades WHERE symbol_id = :symbol), 0) + 1
  UNION ALL
  SELECT CASE WHEN probe.value < :wanted THEN (lo + hi) / 2 + 1 ELSE lo END,
         CASE WHEN probe.value < :wanted THEN hi ELSE (lo + hi) / 2 END
    FROM step JOIN (SELECT trade_id, {column} AS value FROM trades WHERE symbol_id = :symbol) AS probe
      ON probe.trade_id = (lo + hi) / 2
   WHERE lo < hi
)
SELECT lo FROM step WHERE lo >= hi

-- name: charted_symbols
-- Symbols that have candles, by skipping from one to the next: those of the partition and those that nobody
-- lists yet, for a symbol may have a past before its first record.
WITH RECURSIVE charted (symbol_id) AS (
  SELECT min(symbol_id) FROM candles
  UNION ALL
  SELECT (SELECT min(c.symbol_id) FROM candles AS c WHERE c.symbol_id > charted.symbol_id)
    FROM charted WHERE symbol_id IS NOT NULL
)
SELECT symbol_id FROM charted
 WHERE symbol_id IS NOT NULL AND symbol_id NOT IN (SELECT symbol_id FROM symbol_state WHERE part <> ?)

-- name: balances_of_all
-- Everybody's money, postings that are not folded yet included.
SELECT json_group_array(json_array(account_id, asset_id, free, held)) FROM (
  SELECT account_id, asset_id, sum(free) AS free, sum(held) AS held FROM (
    SELECT account_id, asset_id, free, held FROM balances
    UNION ALL
    SELECT account_id, asset_id, free_delta, held_delta FROM engine_partition AS e CROSS JOIN postings AS p
        ON p.part = e.part AND p.log_offset >= coalesce((SELECT log_offset FROM folded WHERE folded.part = e.part), 0)
  ) GROUP BY account_id, asset_id ORDER BY account_id, asset_id
)

-- name: needs_of_all
-- What open orders and orders on their way hold, by account and asset.
SELECT json_group_array(json_array(account_id, asset_id, held)) FROM (
  SELECT account_id, asset_id, sum(held) AS held FROM (
    SELECT i.account_id, i.asset_id, o.held FROM orders AS o JOIN intake AS i USING (order_id) WHERE o.open = 1
    UNION ALL
    SELECT account_id, asset_id, held FROM intake WHERE applied_offset IS NULL
  ) GROUP BY account_id, asset_id HAVING sum(held) <> 0 ORDER BY account_id, asset_id
)

-- name: transfers_by_asset
-- Deposits less withdrawals.
SELECT json_group_array(json_array(asset_id, amount)) FROM (
  SELECT asset_id, sum(amount) AS amount FROM transfers GROUP BY asset_id ORDER BY asset_id
)

-- name: strays
-- Orders whose outcome the two tables that know them tell differently. Before the oldest checkpoint a closed order
-- may be gone.
SELECT json_group_array(order_id) FROM (
  SELECT order_id FROM orders AS o WHERE open = 1
     AND NOT EXISTS (SELECT 1 FROM intake AS i WHERE i.order_id = o.order_id AND i.open = 1 AND i.applied_offset >= 0)
  UNION
  SELECT order_id FROM intake AS i WHERE open = 1 AND applied_offset IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.order_id = i.order_id AND o.open = 1)
  UNION
  SELECT order_id FROM intake AS i JOIN orders AS o USING (order_id)
   WHERE (i.applied_offset, i.open, i.part, i.account_id, i.symbol_id)
         IS NOT (o.applied_offset, o.open, o.part, o.account_id, o.symbol_id)
  UNION
  SELECT order_id FROM intake AS i
   WHERE applied_offset >= (SELECT coalesce(min(next_offset), 0) FROM checkpoints AS c WHERE c.part = i.part)
     AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.order_id = i.order_id)
  ORDER BY order_id LIMIT ?
)
