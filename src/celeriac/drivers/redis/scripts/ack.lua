-- Remove held messages for good.
--
-- KEYS  1 unacked   2 unacked_index
-- ARGV  tags
-- Result: the positions (from 0) of the tags that were no longer held.
-- Atomic.
return acknowledge(KEYS[1], KEYS[2], ARGV)
