-- Takes a key that may be used once within its time; refuses while what was used before may be forgotten: after it
-- was flushed Redis does not know when it was born, after a restart the last second may not have reached the disk.
-- KEYS: the key, born
-- ARGV: milliseconds.
-- Returns 1 taken, 0 used before, -1 nobody can tell yet.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local born = tonumber(redis.call('GET', KEYS[2]))
if not born then
  born = now_ms
  redis.call('SET', KEYS[2], string.format('%.0f', now_ms))
end
local up_ms = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')) * 1000
if math.min(now_ms - born, up_ms) < tonumber(ARGV[1]) then return -1 end
if redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
