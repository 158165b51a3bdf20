-- Counts into fixed windows that begin with their first use: for many who ask at once, one after the other.
-- KEYS: of each who asks, the key that bars it if it names one, then its counters.
-- ARGV: msgpack of all who ask, each {1 if it names a bar else 0, cost, limit, window in ms, cost, ...}.
-- Returns msgpack of their answers: {used, ms until it ends, used, ...}, up to the first that passed its limit;
-- or what stands under the bar, and then nothing was counted.
local answers, at = {}, 0
local function count(cost, window)
  local used = redis.call('INCRBY', KEYS[at], cost)
  local left = redis.call('PTTL', KEYS[at])
  if left < 0 then
    redis.call('PEXPIRE', KEYS[at], window)
    left = window
  end
  return used, left
end
for who, asked in ipairs(cmsgpack.unpack(ARGV[1])) do
  local bar = false
  if asked[1] == 1 then
    at = at + 1
    bar = redis.call('GET', KEYS[at])
  end
  local spent, goes_on = {}, not bar
  for from = 2, #asked, 3 do
    at = at + 1
    if goes_on then
      local used, left = count(asked[from], asked[from + 2])
      spent[#spent + 1] = used
      spent[#spent + 1] = left
      goes_on = used <= asked[from + 1]
    end
  end
  answers[who] = bar or spent
end
return cmsgpack.pack(answers)
