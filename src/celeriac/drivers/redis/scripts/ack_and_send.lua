-- Remove held messages, each replaced by the messages that follow from it.
--
-- KEYS  1 unacked   2 unacked_index   3 names of queues with a delayed set   4 alive
--       then for each follow-up: list, bell, delayed set
-- ARGV  1 number of tags   then the tags   then for each follow-up: number of its tag, queue, step,
--       due moment ('' for now), nonce, envelope
-- Result: the positions (from 0) of the tags that were no longer held; their follow-ups were not sent.
-- Atomic: all or, when a list's key holds something else, nothing; that is asked first, since a script that fails keeps
-- what it has written. The first write needs no memory, so on a full server it works as ack.lua does.
local count = tonumber(ARGV[1])
for k = 5, #KEYS, 3 do
  redis.call('LLEN', KEYS[k])
end
local held, lost = {}, {}
for i = 1, count do
  held[i] = redis.call('HDEL', KEYS[1], ARGV[1 + i]) == 1
  redis.call('ZREM', KEYS[2], ARGV[1 + i])
  if not held[i] then
    lost[#lost + 1] = i - 1
  end
end
local alive = redis.call('EXISTS', KEYS[4]) == 1
for f = 1, (#ARGV - 1 - count) / 6 do
  local a, k = 1 + count + (f - 1) * 6, 4 + (f - 1) * 3
  if held[tonumber(ARGV[a + 1])] then
    if ARGV[a + 4] ~= '' and alive then
      delay(KEYS[3], KEYS[k + 3], ARGV[a + 2], ARGV[a + 4], ARGV[a + 3], ARGV[a + 5], ARGV[a + 6])
    else
      redis.call('LPUSH', KEYS[k + 1], ARGV[a + 6])
      ring(KEYS[k + 2])
    end
  end
end
return lost
