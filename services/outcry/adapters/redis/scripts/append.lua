-- Adds one batch's changes of one symbol to its book and stream and publishes them, or says why not.
-- KEYS: state, bids, bid lots, asks, ask lots, stream
-- ARGV: channel, symbol id, first seq, last seq, last u, levels, body; without a body it is a heartbeat at last seq,
-- which tells where each window was cut last.
-- levels: msgpack of four lists: bids to set (price, lots, price, ...), bids to remove (prices), asks likewise.
-- Returns {outcome, stored seq}: 1 done, 0 known already (nothing written), -1 behind (nothing written), -2 empty.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'u')
if not state[1] then return {-2, 0} end
local epoch, stored, u = tonumber(state[1]), tonumber(state[2]), tonumber(state[3])
local first, last = tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[7] == '' then
  if last < stored then return {0, stored} end
  if last > stored then return {-1, stored} end
  local cuts = redis.call('HMGET', KEYS[1], 'cut100', 'cut1000')
  local message = struct.pack('<BBI4I8I8I8I8', 1, 3, tonumber(ARGV[2]), epoch, stored, stored, u)
    .. struct.pack('<I4I8I4I8', 100, tonumber(cuts[1]), 1000, tonumber(cuts[2]))
  redis.call('PUBLISH', ARGV[1], message)
  return {1, stored}
end
if last <= stored then return {0, stored} end
if first > stored + 1 then return {-1, stored} end

local CHUNK = 2000 -- values that are unpacked on Lua's stack at once
local function each_chunk(list, call)
  for from = 1, #list, CHUNK do call(from, math.min(from + CHUNK - 1, #list)) end
end
local function change(levels, lots, sets, removals)
  each_chunk(sets, function(from, to)
    local ranked = {}
    for i = from, to, 2 do
      ranked[#ranked + 1] = sets[i]
      ranked[#ranked + 1] = sets[i]
    end
    redis.call('ZADD', levels, unpack(ranked))
    redis.call('HSET', lots, unpack(sets, from, to))
  end)
  each_chunk(removals, function(from, to)
    redis.call('ZREM', levels, unpack(removals, from, to))
    redis.call('HDEL', lots, unpack(removals, from, to))
  end)
end
local levels = cmsgpack.unpack(ARGV[6])
change(KEYS[2], KEYS[3], levels[1], levels[2])
change(KEYS[4], KEYS[5], levels[3], levels[4])
redis.call('HSET', KEYS[1], 'seq', ARGV[4], 'u', ARGV[5])
local message = struct.pack('<BBI4I8I8I8I8', 1, 1, tonumber(ARGV[2]), epoch, first, last, tonumber(ARGV[5])) .. ARGV[7]
redis.call('XADD', KEYS[6], 'MAXLEN', '~', 10000, ARGV[4] .. '-0', 'm', message)
redis.call('PUBLISH', ARGV[1], message)
return {1, last}
