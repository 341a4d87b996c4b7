-- Count what a queue holds.
--
-- KEYS  1 unacked   2 delayed set   3 dead letters   then its lists
-- ARGV  1 queue   2 the most held messages to look at
-- Result: ready, delayed, leased, dead.
-- Atomic. The hash of held messages is shared by all queues, so it is read through; more than ARGV[2] are not counted.
local ready = 0
for l = 4, #KEYS do
  ready = ready + redis.call('LLEN', KEYS[l])
end
local leased, cursor, seen = 0, '0', 0
repeat
  local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', 500)
  cursor = page[1]
  for i = 2, #page[2], 2 do
    local _, _, key = cut(page[2][i])
    if key == ARGV[1] then
      leased = leased + 1
    end
    seen = seen + 1
  end
until cursor == '0' or seen >= tonumber(ARGV[2])
return { ready, redis.call('ZCARD', KEYS[2]), leased, redis.call('ZCARD', KEYS[3]) }
