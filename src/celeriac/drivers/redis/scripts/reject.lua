-- Move held messages to the dead letters of their queue.
--
-- KEYS  1 unacked   2 unacked_index   3 dead letters
-- ARGV  1 head of the dead letters: a JSON list [moment, reason]   then tags
-- Result: the positions (from 0) of the tags that were no longer held.
-- Atomic. A dead letter is "<head>\n<envelope>": the envelope stays as it came, even if it is no JSON.
local lost = {}
for i = 2, #ARGV do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  if entry then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
    redis.call('LPUSH', KEYS[3], ARGV[1] .. '\n' .. (cut(entry) or entry))
  else
    lost[#lost + 1] = i - 2
  end
end
return lost
