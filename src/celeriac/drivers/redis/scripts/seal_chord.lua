-- Say how far the sending of a chord's members is.
--
-- KEYS  1 .s   2 .c   3 record   4 chords by moment
-- ARGV  1 id   2 size ('' to leave it)   3 sent_by ('' when all are sent)
-- Result: 1, or 0 when the chord is over without having been complete. Atomic.
local over = redis.call('HGET', KEYS[3], 'over')
if over then
  return 0
end
if redis.call('GET', KEYS[2]) == 'done' then
  return 1
end
local deadline = redis.call('HGET', KEYS[3], 'deadline')
if not deadline then
  return 0
end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[3], 'size', ARGV[2])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', redis.call('HGET', KEYS[3], 'ttl'))
end
redis.call('HSET', KEYS[3], 'sent_by', ARGV[3])
redis.call('ZADD', KEYS[4], math.min(tonumber(deadline), tonumber(ARGV[3]) or math.huge), ARGV[1])
return 1
