-- Remove held messages for good.
--
-- KEYS  1 unacked   2 unacked_index
-- ARGV  tags
-- Result: the positions (from 0) of the tags that were no longer held.
-- Atomic. Both calls only free memory, so a server that is full accepts them.
local lost = {}
if redis.call('HDEL', KEYS[1], unpack(ARGV)) < #ARGV then
  for i, score in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(ARGV))) do
    if not score then
      lost[#lost + 1] = i - 1
    end
  end
end
redis.call('ZREM', KEYS[2], unpack(ARGV))
return lost
