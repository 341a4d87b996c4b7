-- Hold messages for longer.
--
-- KEYS  1 unacked_index
-- ARGV  1 new score   then tags
-- Result: the positions (from 0) of the tags that are no longer held; nothing was done for them.
-- Atomic. A full server accepts it, since it removes before it adds.
local tags = { unpack(ARGV, 2) }
local held, lost, renewed = redis.call('ZMSCORE', KEYS[1], unpack(tags)), {}, {}
for i, tag in ipairs(tags) do
  if held[i] then
    if #renewed == 0 then
      redis.call('ZREM', KEYS[1], tag)
    end
    renewed[#renewed + 1] = ARGV[1]
    renewed[#renewed + 1] = tag
  else
    lost[#lost + 1] = i - 1
  end
end
if #renewed > 0 then
  redis.call('ZADD', KEYS[1], unpack(renewed))
end
return lost
