-- Take chords that somebody has to look at.
--
-- KEYS  1 chords by moment
-- ARGV  1 now   2 the moment at which others may take them   3 how many at most
-- Result: their ids. Atomic.
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do
  redis.call('ZADD', KEYS[1], ARGV[2], id)
end
return ids
