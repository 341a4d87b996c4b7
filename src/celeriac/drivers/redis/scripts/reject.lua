-- Move held messages to the dead letters of their queue.
--
-- KEYS  1 unacked   2 unacked_index   3 dead letters   4 numbers of dead letters
-- ARGV  1 queue   2 now   3 reason, as JSON   then pairs: tag, step
-- Result: the positions (from 0) of the tags that were no longer held.
-- Atomic. What it removes comes before what it adds, so a full server accepts it; that a key holds something else is
-- asked before, since a script that fails keeps what it has written.
redis.call('ZCARD', KEYS[3])
redis.call('HLEN', KEYS[4])
local lost = {}
for i = 4, #ARGV, 2 do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  if entry then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
    bury(KEYS[4], KEYS[3], ARGV[1], ARGV[2], ARGV[3], ARGV[i + 1], cut(entry) or entry)
  else
    lost[#lost + 1] = (i - 4) / 2
  end
end
return lost
