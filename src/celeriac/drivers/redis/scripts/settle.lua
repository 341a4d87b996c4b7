-- Store results, remove held messages, send what follows from these, and take the next.
--
-- KEYS  1 unacked   2 unacked_index   3 names of queues with a delayed set   4 alive   then the results
--       then for each follow-up: list, bell, delayed set
--       then the number of the newest revocation, and for each queue what `claim` wants (_claim.lua)
-- ARGV  1 number of results   2 number of tags   3 number of follow-ups
--       4 whether the one follow-up there is may be kept: 0, or the length of what is put to its envelope in unacked
--       then for each result: payload, whether it is an end (1 or 0), milliseconds to keep it ('' for ever)
--       then the tags   then for each follow-up: number of its tag, queue, step, due moment ('' for now), nonce, envelope
--       (of one that may be kept: its entry, which is [<envelope>,"","<queue>"])
--       then what `claim` wants; left out where nothing is taken
-- Result: the positions (from 0) of the tags that were no longer held, whose follow-ups were not sent; where it takes
--       messages, a list that begins with these, then what `claim` adds. A follow-up that is kept is { 0, step }.
-- Atomic: all or, when a list's key holds something else, nothing; that is asked first, since a script that fails keeps
-- what it has written. A full server refuses the first result, and so all. Where there is none the first write needs no
-- memory, so on a full server it works as ack.lua does.
-- What is sent here and would be the first and only one to be taken here is held at once, and not handed back: who sent
-- it has it. Each time that a message goes from Redis to Lua or back costs its reading whole, 1.2 us a KiB. Otherwise a
-- bell does not ring for long for what is taken here: `claim` clears that of a queue which it leaves empty.
local results, tags, follow_ups, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local sends, first = 4 + results, 4 + 3 * results
local after, at = sends + 3 * follow_ups + 1, first + tags + 6 * follow_ups + 1
for k = sends + 1, after - 1, 3 do
  redis.call('LLEN', KEYS[k])
end
for r = 1, results do
  local a = 1 + 3 * r
  store(KEYS[4 + r], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3])
end
local lost = acknowledge(KEYS[1], KEYS[2], { unpack(ARGV, first + 1, first + tags) })
if kept > 0 and #lost == 0 and how_many_are_there(KEYS, after) == 0 then
  local step = ARGV[at - 4]
  local tag = ARGV[at + 4] .. '1:' .. step
  redis.call('ZADD', KEYS[2], end_of_lease(ARGV, at), tag)
  redis.call('HSET', KEYS[1], tag, ARGV[at - 1])
  return { lost, newest_revocation(KEYS[after]), { 0, step } }
end
if follow_ups > 0 then
  local is_lost = {}
  for _, place in ipairs(lost) do
    is_lost[place + 1] = true
  end
  local alive = redis.call('EXISTS', KEYS[4]) == 1
  for f = 1, follow_ups do
    local a, k = first + tags + (f - 1) * 6, sends + (f - 1) * 3
    local envelope = kept > 0 and string.sub(ARGV[a + 6], 2, -1 - kept) or ARGV[a + 6]
    if not is_lost[tonumber(ARGV[a + 1])] then
      if ARGV[a + 4] ~= '' and alive then
        delay(KEYS[3], KEYS[k + 3], ARGV[a + 2], ARGV[a + 4], ARGV[a + 3], ARGV[a + 5], envelope)
      else
        redis.call('LPUSH', KEYS[k + 1], envelope)
        ring(KEYS[k + 2])
      end
    end
  end
end
if #ARGV < at then
  return lost
end
local result = { lost }
return claim(KEYS, after, ARGV, at, result) or result
