-- Ends a window of one symbol, if a level changed in it: stores where it ended and publishes the mark.
-- KEYS: state, stream
-- ARGV: channel, symbol id, window in ms, time in ms.
-- Returns the u at which the window ends now; nothing while no feed epoch is open.
local field = 'cut' .. ARGV[3]
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'u', field)
if not state[1] then return false end
local seq, u = tonumber(state[2]), tonumber(state[3])
local before = tonumber(state[4])
if u <= before then return before end
redis.call('HSET', KEYS[1], field, state[3])
local message = struct.pack('<BBI4I8I8I8I8', 1, 4, tonumber(ARGV[2]), tonumber(state[1]), seq, seq, u)
  .. struct.pack('<I4I8I8', tonumber(ARGV[3]), before + 1, tonumber(ARGV[4]))
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, state[2] .. '-*', 'm', message)
redis.call('PUBLISH', ARGV[1], message)
return u
