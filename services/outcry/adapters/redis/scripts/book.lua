-- The best levels of one symbol and where they stand, at one moment.
-- KEYS: state, bids, bid lots, asks, ask lots
-- ARGV: levels of each side.
-- Returns {epoch, seq, u, bid prices, bid lots, ask prices, ask lots}; nothing while no feed epoch is open.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'u')
if not state[1] then return false end
local CHUNK = 2000 -- values that are unpacked on Lua's stack at once
local function lots_of(key, prices)
  local found = {}
  for from = 1, #prices, CHUNK do
    for _, lots in ipairs(redis.call('HMGET', key, unpack(prices, from, math.min(from + CHUNK - 1, #prices)))) do
      found[#found + 1] = lots
    end
  end
  return found
end
local count = tonumber(ARGV[1])
if count <= 0 then return {state[1], state[2], state[3], {}, {}, {}, {}} end
local bids = redis.call('ZREVRANGE', KEYS[2], 0, count - 1)
local asks = redis.call('ZRANGE', KEYS[4], 0, count - 1)
return {state[1], state[2], state[3], bids, lots_of(KEYS[3], bids), asks, lots_of(KEYS[5], asks)}
