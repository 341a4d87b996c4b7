-- Add to a counter and renew its end.
--
-- KEYS  1 counter
-- ARGV  1 amount   2 milliseconds
-- Result: the new value.
-- Atomic.
local value = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return value
