-- Count parts of one chord, each once, and find out who has to see to its end.
--
-- KEYS  1 .j   2 .t   3 .s   4 .d   5 .c   6 record
-- ARGV  1 '1' when .j is a sorted set, 0 when it is a list   2 milliseconds to keep it
--       then for each part: task id, place ('+inf' for none), value
-- Result: the position (from 0) of the part that owns the end, -1 for none.
-- Atomic. What stock workers do with these keys (CHORD_PART_RETURN_LUA of Celery 5.7), but that .c names the member that
-- owns the end and is not taken from it: who has that member's message sees to the end, also after a crash.
-- The keys live as long as the record at least, which has to be there at the deadline.
local claim = redis.call('GET', KEYS[5])
if claim == 'done' or redis.call('HEXISTS', KEYS[6], 'over') == 1 then
  return -1
end
for n = 3, #ARGV, 3 do
  if redis.call('SADD', KEYS[4], ARGV[n] .. ':' .. ARGV[n + 1]) == 1 then
    if ARGV[1] == '1' then
      local value = ARGV[n + 2]
      while redis.call('ZADD', KEYS[1], 'NX', ARGV[n + 1], value) == 0 do
        value = value .. ' ' -- a frozen signature that stands twice: its parts may be the same, and a set merges these
      end
    else
      redis.call('RPUSH', KEYS[1], ARGV[n + 2])
    end
  end
end
local ttl = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[6]))
for _, n in ipairs({1, 2, 3, 4, 6}) do
  redis.call('PEXPIRE', KEYS[n], ttl)
end
local size = redis.call('GET', KEYS[3])
if not size or redis.call('SCARD', KEYS[4]) < tonumber(size) + tonumber(redis.call('GET', KEYS[2]) or 0) then
  return -1
end
if not claim then
  redis.call('SET', KEYS[5], 'celeriac:' .. ARGV[#ARGV - 2], 'PX', ttl)
  return (#ARGV - 2) / 3 - 1
end
for n = 3, #ARGV, 3 do
  if claim == 'celeriac:' .. ARGV[n] then
    return (n - 3) / 3
  end
end
return -1
