-- Notes that accounts are listened to, for a while on Redis' own clock, and tells the engines.
-- KEYS: followed
-- ARGV: channel, milliseconds, accounts as msgpack.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
for _, account in ipairs(cmsgpack.unpack(ARGV[3])) do
  redis.call('ZADD', KEYS[1], now_ms + ARGV[2], account)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
redis.call('PUBLISH', ARGV[1], ARGV[3])
return 1
