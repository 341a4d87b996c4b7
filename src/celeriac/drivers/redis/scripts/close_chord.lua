-- Forget what was counted, and pass over what comes late, for a while.
--
-- KEYS  1 .j   2 .t   3 .s   4 .d   5 .c   6 record   7 chords by moment
-- ARGV  1 id   2 milliseconds
-- Result: none. Atomic. One that nobody owns has not been complete: its sender, if it lives, has to hear of that.
local owned = redis.call('EXISTS', KEYS[5])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6])
redis.call('ZREM', KEYS[7], ARGV[1])
redis.call('SET', KEYS[5], 'done', 'PX', ARGV[2])
if owned == 0 then
  redis.call('HSET', KEYS[6], 'over', '1')
  redis.call('PEXPIRE', KEYS[6], ARGV[2])
end
