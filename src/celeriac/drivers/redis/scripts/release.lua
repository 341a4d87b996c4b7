-- Give a lock back.
--
-- KEYS  1 lock
-- ARGV  1 owner
-- Result: 1 when the owner had it, else 0.
-- Atomic.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
