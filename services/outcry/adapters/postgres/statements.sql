-- The longer statements of the ledger, each under its name. A word in braces is filled in by the caller.

-- name: hold
-- HOLD: money and client order ids of one micro-batch, in one statement. $1 topic, then an array per column.
-- Taken ids are found before money is looked at: a retry of a live order is never "insufficient balance". ``pocket`` is
-- the asset from which the row's group pays, -1 for a group that needs no money; an account pays all that the batch
-- needs of an asset or nothing. ``leg``: 0 not in a list, 1 the first of one, 2 another. Ids are minted for what is written
-- only, in the order of the requests.
WITH req AS MATERIALIZED (
  SELECT * FROM unnest($2::int[], $3::bigint[], $4::int[], $5::int[], $6::bigint[], $7::text[], $8::int[], $9::bytea[],
                       $10::int[], $11::int[], $12::int[])
    WITH ORDINALITY AS r(part, account_id, symbol_id, asset_id, amount, client_order_id, window_ms, body,
                         pocket, grp, leg, n)),
taken AS MATERIALIZED (  -- LIMIT keeps the planner at one look into the index per request, however little it knows
  SELECT DISTINCT r.grp FROM req r, LATERAL (
    SELECT FROM intake i WHERE i.account_id = r.account_id AND i.symbol_id = r.symbol_id
       AND i.client_order_id = r.client_order_id AND i.open = 1 LIMIT 1) i),
fresh AS MATERIALIZED (SELECT * FROM req WHERE grp NOT IN (SELECT grp FROM taken)),
need AS (  -- numeric: cannot overflow
  SELECT account_id, pocket AS asset_id, sum(amount) AS amount FROM fresh WHERE pocket >= 0 GROUP BY 1, 2),
locked AS MATERIALIZED (  -- one lock order for all api pods
  SELECT b.account_id, b.asset_id, x.amount FROM need x JOIN balances b USING (account_id, asset_id)
   ORDER BY 1, 2 FOR UPDATE OF b),
paid AS (
  UPDATE balances b SET free = b.free - l.amount, held = b.held + l.amount FROM locked l
   WHERE b.account_id = l.account_id AND b.asset_id = l.asset_id AND b.free >= l.amount
  RETURNING b.account_id, b.asset_id),
granted AS MATERIALIZED (
  SELECT nextval('order_ids') AS order_id, f.*,
         CASE f.leg WHEN 0 THEN -1 WHEN 1 THEN nextval('list_ids') ELSE currval('list_ids') END AS list_id
    FROM (SELECT f.*, c.now_ms, greatest(c.now_ms, e.log_time) + f.window_ms AS valid_until_ms
            FROM fresh f CROSS JOIN (SELECT outcry_now_ms() AS now_ms) c
            LEFT JOIN engine_partition e ON e.topic = $1 AND e.part = f.part
            LEFT JOIN paid p ON p.account_id = f.account_id AND p.asset_id = f.pocket
           WHERE f.pocket < 0 OR p.account_id IS NOT NULL ORDER BY f.n) f),
put AS (
  INSERT INTO intake (order_id, part, account_id, symbol_id, asset_id, held, client_order_id, body, intake_ms,
                      valid_until_ms, list_id, open)
  SELECT order_id, part, account_id, symbol_id, asset_id, amount, client_order_id, body, now_ms, valid_until_ms, list_id, 1
    FROM granted ORDER BY account_id, symbol_id, client_order_id)
SELECT g.order_id, g.now_ms, g.valid_until_ms, g.list_id, r.grp IN (SELECT grp FROM taken) AS is_taken
  FROM req r LEFT JOIN granted g USING (n) ORDER BY r.n

-- name: lock_money
-- What accounts have of assets, which nobody else may change until the transaction ends.
SELECT b.account_id, b.asset_id, b.free
  FROM unnest($1::bigint[], $2::int[]) AS w(account_id, asset_id) JOIN balances b USING (account_id, asset_id)
 ORDER BY 1, 2 FOR UPDATE OF b

-- name: taken_names
-- Which client order ids (account, symbol, name) are those of open orders.
SELECT w.* FROM unnest($1::bigint[], $2::int[], $3::text[]) AS w(account_id, symbol_id, client_order_id), LATERAL (
  SELECT FROM intake i WHERE i.account_id = w.account_id AND i.symbol_id = w.symbol_id
     AND i.client_order_id = w.client_order_id AND i.open = 1 LIMIT 1) i

-- name: find_targets
-- Open intake rows by order id ($1), and by account, symbol and client order id ($2 to $4).
SELECT {columns} FROM unnest($1::bigint[]) AS w(order_id) JOIN intake i USING (order_id) WHERE i.open = 1
UNION ALL
SELECT {columns} FROM unnest($2::bigint[], $3::int[], $4::text[]) AS w(account_id, symbol_id, client_order_id), LATERAL (
  SELECT * FROM intake i WHERE i.account_id = w.account_id AND i.symbol_id = w.symbol_id
     AND i.client_order_id = w.client_order_id AND i.open = 1 LIMIT 1) i

-- name: claim_keys
-- Takes idempotency keys that are free or expired, in one order for all; returns those that were. $5: kept so long, ms.
INSERT INTO idempotency AS k (account_id, key, payload_sha256, claimant, order_ids, expires_ms)
SELECT account_id, key, payload, claimant, '{}', outcry_now_ms() + $5::bigint
  FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[]) AS w(account_id, key, payload, claimant)
 ORDER BY account_id, key
ON CONFLICT (account_id, key) DO UPDATE
   SET payload_sha256 = excluded.payload_sha256, claimant = excluded.claimant, order_ids = '{}', response = NULL,
       expires_ms = excluded.expires_ms
 WHERE k.expires_ms <= outcry_now_ms()
RETURNING account_id, key

-- name: kept_keys
-- Which keys are still their claimants', and stay so until the transaction ends: CLOSE_KEY waits for it.
SELECT account_id, key, claimant FROM idempotency
 WHERE (account_id, key, claimant) IN (SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]))
   AND response IS NULL AND expires_ms > outcry_now_ms()
 ORDER BY account_id, key FOR SHARE

-- name: close_key
-- Takes a key away from its claimant, if it was taken long enough ago. $3: keys are kept so long, $4: how long ago, ms.
UPDATE idempotency SET claimant = ''
 WHERE account_id = $1 AND key = $2 AND expires_ms - $3::bigint + $4::bigint <= outcry_now_ms()
RETURNING key

-- name: stored_keys
SELECT account_id, key, payload_sha256, order_ids, response, expires_ms > outcry_now_ms() AS live FROM idempotency
 WHERE (account_id, key) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))

-- name: settle_keys
-- Writes the orders of the keys that got their hold ($3: JSON lists of ids) and drops those of the refused.
WITH gone AS (
  DELETE FROM idempotency WHERE (account_id, key) IN (SELECT * FROM unnest($4::bigint[], $5::text[])))
UPDATE idempotency k SET order_ids = ARRAY(SELECT jsonb_array_elements_text(w.ids::jsonb)::bigint)
  FROM unnest($1::bigint[], $2::text[], $3::text[]) AS w(account_id, key, ids)
 WHERE k.account_id = w.account_id AND k.key = w.key

-- name: fence
-- Whether a partition (e) of the topic $1 is still where the batch (u) begins, and still the writer's.
e.topic = $1 AND e.part = u.part AND e.epoch = u.epoch AND e.next_offset = u.from_offset AND e.status = 'RUN'

-- name: advance
-- CAS: the first statement of every batch transaction, for all partitions in it; those that it names are still ours.
-- $1 topic, $2 lease in ms, then an array per column of Advance.
UPDATE engine_partition e
   SET next_offset = u.to_offset, log_time = u.log_time, rules_version = u.rules, event_seq = u.seq,
       state_hash = u.state, log_hash = u.log, tail_hash = u.tail, lease_until = outcry_now_ms() + $2::bigint
  FROM unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::int[], $9::bigint[], $10::bigint[],
              $11::bytea[], $12::bytea[])
       AS u(part, epoch, from_offset, to_offset, log_time, rules, seq, state, log, tail)
 WHERE {fence}
RETURNING e.part

-- name: commit_swiftly
-- A whole commit: the fence, then all rows, or nothing at all. $1 topic, $2 lease in ms, then an array of rows for each
-- kind. ``ours`` is empty unless every partition is named and locked; ``sound`` hangs on it and on every first outcome
-- having found its intake row, and all that is written after them hangs on ``sound``. What is not as expected raises.
WITH named AS MATERIALIZED (
  SELECT u.* FROM unnest($3::advance_row[]) AS u JOIN engine_partition e
      ON {fence}
   ORDER BY u.part FOR UPDATE OF e),
ours AS MATERIALIZED (SELECT count(*) FROM named HAVING count(*) = cardinality($3)),
marked AS (
  UPDATE intake i SET applied_offset = u.applied_offset, open = u.open FROM ours, unnest($5::mark_row[]) AS u
   WHERE i.order_id = u.order_id AND i.part = u.part AND i.held = u.held AND coalesce(i.applied_offset, -2) = -2
  RETURNING i.order_id),
sound AS MATERIALIZED (
  SELECT * FROM ours WHERE outcry_insist((SELECT count(*) FROM marked) = cardinality($5), 'a first outcome has no row')),
advanced AS (
  UPDATE engine_partition e
     SET next_offset = u.to_offset, log_time = u.log_time, rules_version = u.rules_version, event_seq = u.event_seq,
         state_hash = u.state_hash, log_hash = u.log_hash, tail_hash = u.tail_hash,
         lease_until = outcry_now_ms() + $2::bigint
    FROM sound, named u WHERE e.topic = $1 AND e.part = u.part
  RETURNING e.part),
told AS (
  INSERT INTO engine_feed (part, from_offset, to_offset, created, payload)
  SELECT u.part, u.from_offset, u.to_offset, outcry_now_ms(), u.payload FROM sound, unnest($4::told_row[]) AS u),
closed AS (UPDATE intake SET open = 0 FROM sound WHERE order_id = ANY($6::bigint[])),
changed AS (
  UPDATE orders o SET {changes} FROM sound, unnest($7::order_row[]) AS u
   WHERE o.order_id = u.order_id AND (o.client_order_id = u.client_order_id) IS TRUE
  RETURNING o.order_id),
put_orders AS (INSERT INTO orders ({orders}) SELECT u.* FROM sound, unnest($8::order_row[]) AS u),
put_trades AS (INSERT INTO trades ({trades}) SELECT u.* FROM sound, unnest($9::trade_row[]) AS u),
put_postings AS (INSERT INTO postings ({postings}) SELECT u.* FROM sound, unnest($10::posting_row[]) AS u),
put_symbols AS (
  INSERT INTO symbol_state ({symbols}) SELECT u.* FROM sound, unnest($11::symbol_row[]) AS u {replacing_symbols}),
put_candles AS (
  INSERT INTO candles ({candles}) SELECT u.* FROM sound, unnest($12::candle_row[]) AS u {replacing_candles})
SELECT part FROM advanced
 WHERE outcry_insist((SELECT count(*) FROM changed) = cardinality($7), 'a known order is not there, or has another name')

-- name: mark_applied
-- First outcomes: each must find its intake row, with its partition and hold, and without an outcome. That there is none
-- is asked in a way that no partial index answers: the planner would join with all orders on their way, not by key.
UPDATE intake i SET applied_offset = u.applied_offset, open = u.open
  FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[], $5::smallint[])
       AS u(order_id, part, held, applied_offset, open)
 WHERE i.order_id = u.order_id AND i.part = u.part AND i.held = u.held AND coalesce(i.applied_offset, -2) = -2

-- name: mark_canceled
UPDATE intake i SET cancel_offset = u.cancel_offset
  FROM unnest($1::bigint[], $2::bigint[]) AS u(order_id, cancel_offset)
 WHERE i.order_id = u.order_id AND coalesce(i.applied_offset, -2) = -2 AND i.cancel_offset IS NULL

-- name: change_orders
-- Known orders as they are now. One that took another name is left out and done by itself: that is rare. The name is
-- asked for in a way that no index answers: a trader may have used it a million times.
UPDATE orders o SET {changes} FROM unnest({arrays}) AS u({columns})
 WHERE o.order_id = u.order_id AND (o.client_order_id = u.client_order_id) IS TRUE

-- name: newest_candles
-- The newest candle per interval of every symbol that has candles: those of the partition and those that nobody lists
-- yet, for a symbol may have a past before its first record. Symbols are found by skipping from one to the next.
WITH RECURSIVE charted (symbol_id) AS (
  SELECT min(symbol_id) FROM candles
  UNION ALL
  SELECT (SELECT min(c.symbol_id) FROM candles c WHERE c.symbol_id > charted.symbol_id)
    FROM charted WHERE symbol_id IS NOT NULL)
SELECT c.* FROM charted s CROSS JOIN unnest($2::bigint[]) AS i(interval_ms), LATERAL (
  SELECT * FROM candles c WHERE c.symbol_id = s.symbol_id AND c.interval_ms = i.interval_ms
   ORDER BY c.open_ms DESC LIMIT 1) c
 WHERE s.symbol_id NOT IN (SELECT symbol_id FROM symbol_state WHERE part <> $1)
 ORDER BY c.symbol_id, c.interval_ms

-- name: fold
-- FOLD: sums the next postings of partitions ($2) into balances, $3 of each at most, but whole records, and moves their
-- cursors. A cursor's row lets one folder at a time go on: who waited for another one finds it moved (has_work, not moved),
-- leaves that partition alone and asks again. Postings are looked for from a place that is known when the look begins
-- (LATERAL): joined in any other way they would all be read, back to the first one that is kept.
WITH place AS MATERIALIZED (
  SELECT e.part, e.next_offset, coalesce(f.log_offset, 0) AS start
    FROM engine_partition e LEFT JOIN folded f ON f.part = e.part
   WHERE e.topic = $1 AND e.part = ANY($2::int[]) AND e.next_offset > coalesce(f.log_offset, 0)),
span AS MATERIALIZED (
  SELECT place.part, start,
         CASE WHEN beyond.log_offset IS NULL THEN next_offset ELSE greatest(beyond.log_offset, start + 1) END AS stop
    FROM place LEFT JOIN LATERAL (
      SELECT p.log_offset FROM postings p
       WHERE p.part = place.part AND p.log_offset >= place.start AND p.log_offset < place.next_offset
       ORDER BY p.log_offset OFFSET $3 LIMIT 1) beyond ON true),
moved AS (
  INSERT INTO folded AS f (part, log_offset) SELECT part, stop FROM span ORDER BY part
      ON CONFLICT (part) DO UPDATE SET log_offset = excluded.log_offset
         WHERE f.log_offset = (SELECT start FROM span WHERE span.part = excluded.part)
  RETURNING part),
sums AS MATERIALIZED (
  SELECT p.account_id, p.asset_id, sum(p.free_delta)::bigint AS free, sum(p.held_delta)::bigint AS held, count(*) AS legs
    FROM moved JOIN span USING (part), LATERAL (  -- in the order of the index by place: no other one is taken
      SELECT * FROM postings p WHERE p.part = span.part AND p.log_offset >= span.start AND p.log_offset < span.stop
       ORDER BY p.log_offset) p
   GROUP BY 1, 2),
locked AS MATERIALIZED (
  SELECT b.account_id, b.asset_id, s.free, s.held
    FROM (SELECT * FROM sums ORDER BY 1, 2) s JOIN balances b USING (account_id, asset_id) ORDER BY 1, 2 FOR UPDATE OF b),
changed AS (
  UPDATE balances b SET free = b.free + l.free, held = b.held + l.held FROM locked l
   WHERE b.account_id = l.account_id AND b.asset_id = l.asset_id),
added AS (  -- an account's first money of an asset
  INSERT INTO balances AS b (account_id, asset_id, free, held)
  SELECT account_id, asset_id, free, held FROM sums
   WHERE (account_id, asset_id) NOT IN (SELECT account_id, asset_id FROM locked) ORDER BY 1, 2
      ON CONFLICT (account_id, asset_id) DO UPDATE SET free = b.free + excluded.free, held = b.held + excluded.held)
SELECT (SELECT count(*) FROM place) AS has_work, (SELECT count(*) FROM moved) AS moved,
       (SELECT coalesce(sum(legs), 0)::bigint FROM sums) AS legs

-- name: void
-- VOID: with the engine's own record, the only thing that gives a hold back. Money is locked before the intake rows, in
-- the order in which HOLD takes them. $3: at most so many. No engine knows of these orders: they are noted under a
-- number, by which the streams tell their accounts.
WITH place AS MATERIALIZED (
  SELECT next_offset, log_time FROM engine_partition WHERE topic = $1 AND part = $2),
late AS MATERIALIZED (
  SELECT i.order_id, i.account_id, i.asset_id FROM intake i
   WHERE i.part = $2 AND i.applied_offset IS NULL AND i.valid_until_ms < (SELECT log_time FROM place)
   ORDER BY i.valid_until_ms LIMIT $3),
locked AS MATERIALIZED (
  SELECT b.account_id, b.asset_id FROM (SELECT DISTINCT account_id, asset_id FROM late ORDER BY 1, 2) l
    JOIN balances b USING (account_id, asset_id) ORDER BY 1, 2 FOR UPDATE OF b),
dead AS (
  UPDATE intake i SET applied_offset = -1, open = 0 FROM late
   WHERE i.order_id = late.order_id AND coalesce(i.applied_offset, -2) = -2 AND (SELECT count(*) FROM locked) >= 0
  RETURNING {columns}),
paid AS (
  UPDATE balances b SET free = b.free + d.amount, held = b.held - d.amount
    FROM (SELECT account_id, asset_id, sum(held)::bigint AS amount FROM dead GROUP BY 1, 2) d
   WHERE b.account_id = d.account_id AND b.asset_id = d.asset_id AND d.amount > 0),
noted AS (
  INSERT INTO voided (time_ms, account_id, order_id) SELECT outcry_now_ms(), account_id, order_id FROM dead ORDER BY 3)
SELECT d.*, place.log_time, place.next_offset FROM dead d, place ORDER BY order_id

-- name: sweep_intake
-- Deletes closed rows whose bound has passed, so that the table is as large as the open orders.
DELETE FROM intake WHERE order_id IN (
  SELECT i.order_id FROM intake i
   WHERE i.part = $2 AND i.open = 0
     AND i.valid_until_ms < (SELECT log_time FROM engine_partition WHERE topic = $1 AND part = $2)
   LIMIT $3 FOR UPDATE OF i SKIP LOCKED)
RETURNING order_id

-- name: sweep_voided
-- The newest stays, so that numbers are seen to grow. $1: kept for so long, in ms.
DELETE FROM voided
 WHERE time_ms < outcry_now_ms() - $1::bigint AND number < (SELECT max(number) FROM voided)

-- name: note_topic
-- A row for each partition of a topic; one that was applied from a topic with another id must not go on.
INSERT INTO engine_partition AS e (topic, part, topic_id)
SELECT $1, part, $2::uuid FROM generate_series(0, $3::int - 1) AS part
    ON CONFLICT (topic, part) DO UPDATE
   SET topic_id = coalesce(e.topic_id, excluded.topic_id),
       status = CASE WHEN e.topic_id <> excluded.topic_id THEN 'HALT' ELSE e.status END,
       halt_reason = CASE WHEN e.topic_id <> excluded.topic_id
                          THEN 'the topic was deleted and created again: its records are not those that were applied'
                          ELSE e.halt_reason END
 WHERE e.topic_id IS NULL OR e.topic_id <> excluded.topic_id
RETURNING part, status

-- name: put_back
-- Intake rows that are missing and whose orders have no outcome, with their holds; returns how many there were.
WITH asked AS MATERIALIZED (SELECT * FROM unnest({arrays}) AS r({columns})),
lost AS MATERIALIZED (
  SELECT a.* FROM asked a
   WHERE NOT EXISTS (SELECT 1 FROM intake i WHERE i.order_id = a.order_id)
     AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.order_id = a.order_id)),
put AS (INSERT INTO intake ({columns}) SELECT {columns} FROM lost),
need AS (SELECT account_id, asset_id, sum(held)::bigint AS amount FROM lost GROUP BY 1, 2),
locked AS MATERIALIZED (
  SELECT b.account_id, b.asset_id, n.amount FROM balances b JOIN need n USING (account_id, asset_id)
   ORDER BY 1, 2 FOR UPDATE OF b),
paid AS (
  UPDATE balances b SET free = b.free - l.amount, held = b.held + l.amount FROM locked l
   WHERE b.account_id = l.account_id AND b.asset_id = l.asset_id)
SELECT count(*) FROM lost

-- name: put_told
INSERT INTO engine_feed (part, from_offset, to_offset, created, payload)
SELECT part, low, high, outcry_now_ms(), payload
  FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bytea[]) AS w(part, low, high, payload)

-- name: told_since
-- What a partition's batches told, oldest first; $2: at most so many.
SELECT payload FROM (
  SELECT to_offset, payload FROM engine_feed WHERE part = $1 ORDER BY to_offset DESC LIMIT $2) newest ORDER BY to_offset

-- name: sweep_told
-- Keeps what is younger than $2 ms, and of that the newest $3 bytes.
DELETE FROM engine_feed WHERE part = $1 AND to_offset <= (
  SELECT max(to_offset) FROM (
    SELECT to_offset, created, sum(octet_length(payload)) OVER (ORDER BY to_offset DESC) AS weight
      FROM engine_feed WHERE part = $1) kept
   WHERE created < outcry_now_ms() - $2 OR weight > $3)

-- name: sweep_keys
DELETE FROM idempotency WHERE (account_id, key) IN (
  SELECT account_id, key FROM idempotency WHERE expires_ms < outcry_now_ms() LIMIT $1 FOR UPDATE SKIP LOCKED)

-- name: oldest_kept
-- Notes what a partition's retention may delete, and tells before which offset: replays start at $2, and what is not
-- folded stays.
WITH noted AS (
  INSERT INTO retained VALUES ($1, $2, $3)
      ON CONFLICT (part) DO UPDATE SET keep_offset = excluded.keep_offset, before_ms = excluded.before_ms)
SELECT least($2, coalesce((SELECT log_offset FROM folded WHERE part = $1), 0))

-- name: retain_postings
-- Whole records, about $5 rows. Whole days are dropped instead, so the last two before $4 are left to that.
WITH old AS MATERIALIZED (
  SELECT log_offset FROM postings WHERE part = $1 AND log_offset < $2 AND time_ms < $3
     AND (time_ms >= $4 OR time_ms < $4 - 172800000) ORDER BY log_offset LIMIT $5)
DELETE FROM postings WHERE part = $1 AND log_offset <= (SELECT max(log_offset) FROM old) AND time_ms < $3
   AND (time_ms >= $4 OR time_ms < $4 - 172800000)
RETURNING idx

-- name: retain_prevented
-- Old matches that were prevented, but for those that an order still names as its last.
DELETE FROM prevented WHERE (symbol_id, prevented_id) IN (
  SELECT symbol_id, prevented_id FROM prevented p
   WHERE part = $1 AND log_offset < $2 AND time_ms < $3 AND NOT EXISTS (
     SELECT FROM orders o WHERE o.order_id IN (p.maker_order, p.taker_order) AND p.prevented_id = greatest(
       (SELECT max(prevented_id) FROM prevented WHERE maker_order = o.order_id),
       (SELECT max(prevented_id) FROM prevented WHERE taker_order = o.order_id)))
   LIMIT $4)
RETURNING prevented_id

-- name: retain_amendments
DELETE FROM amendments WHERE (part, log_offset, execution_id) IN (
  SELECT part, log_offset, execution_id FROM amendments WHERE part = $1 AND log_offset < $2 AND time_ms < $3
   ORDER BY log_offset LIMIT $4)
RETURNING execution_id

-- name: retain_orders
-- Of the orders with ids from $4 to $5, those that were closed before the time by a record before the offset.
DELETE FROM orders WHERE order_id BETWEEN $4 AND $5
   AND part = $1 AND open = 0 AND changed_before <= $2 AND updated_ms < $3
RETURNING order_id, list_id

-- name: retain_lists
DELETE FROM lists l WHERE list_id = ANY($1::bigint[]) AND status = 'ALL_DONE'
   AND NOT EXISTS (SELECT FROM orders o WHERE o.list_id = l.list_id)
