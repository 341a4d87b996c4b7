-- Tell how a chord stands that is due.
--
-- KEYS  1 .j   2 .t   3 .s   4 .d   5 .c   6 record   7 chords by moment
-- ARGV  1 id   2 now
-- Result: body, size ('' while it is not known), how many came, the first place without a part ('' for none), sent_by
-- ('' when all are sent), 1 when all came. Nothing when a worker sees to its end or has done so. Atomic.
local body, claim = redis.call('HGET', KEYS[6], 'body'), redis.call('GET', KEYS[5])
local size, known = redis.call('GET', KEYS[3]), redis.call('HGET', KEYS[6], 'size')
if not body or claim == 'done' or (not size and known ~= '') then
  redis.call('ZREM', KEYS[7], ARGV[1])
  redis.call('DEL', KEYS[6])
  return {}
end
local deadline = tonumber(redis.call('HGET', KEYS[6], 'deadline'))
if claim and (tonumber(ARGV[2]) < deadline or string.sub(claim, 1, 9) ~= 'celeriac:') then
  if tonumber(ARGV[2]) < deadline then
    redis.call('ZADD', KEYS[7], deadline, ARGV[1])
  end
  return {}
end
local counted = redis.call('SCARD', KEYS[4])
local expected = size and tonumber(size) + tonumber(redis.call('GET', KEYS[2]) or 0)
local came, missing = {}, ''
for _, member in ipairs(redis.call('SMEMBERS', KEYS[4])) do
  came[string.match(member, '([^:]*)$')] = true
end
for n = 0, (expected or 0) - 1 do
  if not came[tostring(n)] then
    missing = n
    break
  end
end
local complete = (expected and counted >= expected and not claim) and 1 or 0
return {body, expected or '', counted, missing, redis.call('HGET', KEYS[6], 'sent_by'), complete}
