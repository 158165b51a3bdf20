-- Counts into a fixed window that begins with its first use.
-- KEYS: counter
-- ARGV: cost, window in ms.
-- Returns {used, ms until it ends}.
local used = redis.call('INCRBY', KEYS[1], ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  left = tonumber(ARGV[2])
end
return {used, left}
