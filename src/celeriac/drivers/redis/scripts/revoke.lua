-- Remember what is revoked, each under a number, and forget what has ended.
--
-- KEYS  1 revocations by number   2 the same by their ends   3 the newest number
-- ARGV  1 milliseconds for which each is remembered   2 milliseconds that a known one may end sooner than that
--       then the revocations
-- Result: how many were not known before.
-- Atomic. Numbers are milliseconds of the server's clock, or one more than the last: they grow also when the last one is
-- forgotten. All keys end with the last that is remembered.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = now + ARGV[1]
local newest, unknown = tonumber(redis.call('GET', KEYS[3]) or 0), 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[2], member)
  redis.call('ZREM', KEYS[1], member)
end
for place = 3, #ARGV do
  local known = redis.call('ZSCORE', KEYS[2], ARGV[place])
  if not known or tonumber(known) < ends - ARGV[2] then
    newest = math.max(newest + 1, now)
    unknown = unknown + (known and 0 or 1)
    redis.call('ZADD', KEYS[2], string.format('%d', ends), ARGV[place])
    redis.call('ZADD', KEYS[1], string.format('%d', newest), ARGV[place])
    redis.call('SET', KEYS[3], string.format('%d', newest))
  end
end
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
for _, key in ipairs(KEYS) do
  redis.call('PEXPIREAT', key, last[2] or now)
end
return unknown
