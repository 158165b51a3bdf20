-- Begins a new feed epoch of one symbol: forgets all that stands there, writes the whole book, publishes it.
-- KEYS: state, bids, bid lots, asks, ask lots, stream
-- ARGV: channel, symbol id, seq, u, wanted epoch, bids (msgpack: price, lots, price, ...), asks, body.
-- Returns {outcome, stored seq}: 1 done, 0 when what stands there is as new already (nothing written).
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local seq, u, epoch = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if state[1] then
  if tonumber(state[2]) >= seq then return {0, tonumber(state[2])} end
  epoch = math.max(epoch, tonumber(state[1]) + 1)
end
redis.call('DEL', unpack(KEYS))
local CHUNK = 2000 -- values that are unpacked on Lua's stack at once
local function put(levels, lots, list)
  for from = 1, #list, CHUNK do
    local to, ranked = math.min(from + CHUNK - 1, #list), {}
    for i = from, to, 2 do
      ranked[#ranked + 1] = list[i]
      ranked[#ranked + 1] = list[i]
    end
    redis.call('ZADD', levels, unpack(ranked))
    redis.call('HSET', lots, unpack(list, from, to))
  end
end
put(KEYS[2], KEYS[3], cmsgpack.unpack(ARGV[6]))
put(KEYS[4], KEYS[5], cmsgpack.unpack(ARGV[7]))
redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch), 'seq', ARGV[3], 'u', ARGV[4])
redis.call('HSET', KEYS[1], 'cut100', ARGV[4], 'cut1000', ARGV[4]) -- both windows begin behind the snapshot
redis.call('PUBLISH', ARGV[1], struct.pack('<BBI4I8I8I8I8', 1, 2, tonumber(ARGV[2]), epoch, seq, seq, u) .. ARGV[8])
return {1, seq}
