-- Append ready messages to one list and ring its queue's bell.
--
-- KEYS  1 list   2 bell
-- ARGV  envelopes, in order
-- Result: how many were stored.
-- Atomic: all of them or, on an error (out of memory, read-only), none.
redis.call('LPUSH', KEYS[1], unpack(ARGV))
ring(KEYS[2])
return #ARGV
