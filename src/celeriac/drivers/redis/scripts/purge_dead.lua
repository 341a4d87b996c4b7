-- Remove dead letters that died before a moment, looking at some of them.
--
-- KEYS  1 dead letters
-- ARGV  1 the moment   2 number after which to look   3 how many to look at
-- Result: how many were removed, and the number of the last that was looked at ('' when these were all).
-- Atomic. The second part of a letter's head is the moment at which it died; the clock may have stepped, so the order
-- of the numbers does not tell.
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local removed = 0
for i = 1, #found, 2 do
  if tonumber(string.match(found[i], '^%[%d+,([^,]+),')) < tonumber(ARGV[1]) then
    removed = removed + redis.call('ZREM', KEYS[1], found[i])
  end
end
return { removed, #found / 2 == tonumber(ARGV[3]) and found[#found] or '' }
