-- What a listener lacks of one symbol: messages of the stream behind a seq, and where the symbol stands.
-- KEYS: state, stream
-- ARGV: seq, how many messages.
-- Returns {epoch, seq, messages}; nothing while no feed epoch is open.
local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if not state[1] then return false end
local messages = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])) do
  messages[#messages + 1] = entry[2][2]
end
return {state[1], state[2], messages}
