-- Begin to count the parts of a chord, unless that has begun.
--
-- KEYS  1 .j   2 .t   3 .s   4 .d   5 .c   6 record   7 chords by the moment at which somebody has to look
-- ARGV  1 id   2 '1' to begin anew   3 size ('' while it is not known)   4 body   5 deadline   6 sent_by ('' for none)
--       7 milliseconds to keep it
-- Result: 1, or 0 when it was known. Atomic. The keys 1 to 5 are Celery's; stock workers go by .s alone.
local ttl = tonumber(ARGV[7])
if ARGV[2] == '1' then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
end
if redis.call('EXISTS', KEYS[6]) == 1 or redis.call('GET', KEYS[5]) == 'done' then
  return 0
end
redis.call('HSET', KEYS[6], 'size', ARGV[3], 'body', ARGV[4], 'deadline', ARGV[5], 'sent_by', ARGV[6], 'ttl', ttl)
redis.call('PEXPIRE', KEYS[6], ttl)
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[3], ARGV[3], 'PX', ttl)
end
redis.call('ZADD', KEYS[7], math.min(tonumber(ARGV[5]), tonumber(ARGV[6]) or math.huge), ARGV[1])
if redis.call('PTTL', KEYS[7]) < ttl then
  redis.call('PEXPIRE', KEYS[7], ttl)
end
return 1
