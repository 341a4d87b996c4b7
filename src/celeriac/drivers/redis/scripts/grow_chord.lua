-- Expect more parts of a chord, one for each member, once.
--
-- KEYS  1 .t   2 record
-- ARGV  task ids
-- Result: how many are new. Atomic. The record, which is made where a stock client has sent the chord, remembers them.
local new = 0
for _, member in ipairs(ARGV) do
  new = new + redis.call('HSETNX', KEYS[2], 'added:' .. member, '1')
end
redis.call('INCRBY', KEYS[1], new)
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < 0 then
    redis.call('PEXPIRE', key, 86400000)
  end
end
return new
