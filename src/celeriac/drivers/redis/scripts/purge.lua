-- Remove what is ready or delayed in a queue.
--
-- KEYS  1 delayed set   2 names of queues with a delayed set   3 bell   then its lists
-- ARGV  1 queue
-- Result: how many were removed.
-- Atomic.
local removed = redis.call('ZCARD', KEYS[1])
for l = 4, #KEYS do
  removed = removed + redis.call('LLEN', KEYS[l])
  redis.call('UNLINK', KEYS[l])
end
redis.call('UNLINK', KEYS[1], KEYS[3])
redis.call('SREM', KEYS[2], ARGV[1])
return removed
