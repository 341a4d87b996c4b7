-- Tell what is revoked and has not ended.
--
-- KEYS  1 revocations by number   2 the same by their ends   3 the newest number
-- ARGV  1 the number after which to begin
-- Result: the newest number, then each revocation and the milliseconds for which it is still remembered, oldest first.
-- Atomic.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = { tonumber(redis.call('GET', KEYS[3]) or 0) }
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf')) do
  local left = tonumber(redis.call('ZSCORE', KEYS[2], member) or 0) - now
  if left > 0 then
    found[#found + 1] = member
    found[#found + 1] = left
  end
end
return found
