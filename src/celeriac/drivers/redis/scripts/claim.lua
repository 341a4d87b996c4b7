-- Acknowledge what was done, then take up to a number of messages and hold them.
--
-- KEYS  1 unacked   2 unacked_index   3 number of the newest revocation
--       then for each queue: its lists, most urgent first; its bell; its mark
-- ARGV  1 limit   2 how many of them freely; beyond that a quarter of what is there, rounded up
--       3 now ('' for the server's own time)   4 lease minus visibility timeout   5 tag prefix
--       6 number of lists per queue   then their steps   then for each queue the end of its entries: ,"","<queue>"]
--       then the tags to acknowledge, as ack.lua does
-- Result: first what ack.lua answers; where all is empty that is all. Then the number of the newest revocation (see
--       revoke.lua), then for each list that gave something: queue number, step, envelopes in order.
--       The tag of the n-th envelope of the whole result is <prefix><n>:<step>.
-- Atomic. A message is noted as held before the next list is touched, and everything that could fail on a key of a
-- wrong type is asked first, so that nothing is ever popped and not held. Popping comes before writing, because
-- a server that is out of memory refuses a script's first write only if it needs memory: claims go on. Where all is
-- empty, one EXISTS tells, unless there are more keys than Lua unpacks (8,000). A list whose key holds something else is
-- passed over, and is an error only where no other had anything: it must hold up no other queue.
-- Wakes: the bell of a queue found empty is cleared in this same step, so that a token laid later is news; a queue that
-- keeps messages has its bell rung for the next engine. The mark (see ring.lua) is cleared with every take.
local lists = tonumber(ARGV[6])
local queues = (#KEYS - 3) / (lists + 2)
local result = { acknowledge(KEYS[1], KEYS[2], { unpack(ARGV, 7 + lists + queues) }) }
if #KEYS == 3 or (#KEYS < 7000 and redis.call('EXISTS', unpack(KEYS, 4)) == 0) then
  return result -- no message, no bell, no mark: an idle engine's claim ends here, with one command
end
local newest = redis.pcall('GET', KEYS[3])
result[2] = type(newest) == 'string' and newest
local limit, freely, now, prefix = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5]
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end
local score = string.format('%.6f', now + ARGV[4])
if limit > freely then
  local ready = 0
  for q = 1, queues do
    local base = 3 + (q - 1) * (lists + 2)
    for l = 1, lists do
      local length = redis.pcall('LLEN', KEYS[base + l])
      ready = ready + (type(length) == 'number' and length or 0)
    end
  end
  limit = math.min(limit, math.max(freely, math.ceil(ready / 4))) -- FAIR_SHARE of the broker's contract
end
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
local taken, failure = 0, nil
for q = 1, queues do
  local base = 3 + (q - 1) * (lists + 2)
  local bell, mark, tail = KEYS[base + lists + 1], KEYS[base + lists + 2], ARGV[6 + lists + q]
  local before, empty = taken, true
  for l = 1, lists do
    if taken < limit then
      local got = redis.pcall('RPOP', KEYS[base + l], limit - taken)
      if got and got.err then
        failure, got = failure or got.err, false
      end
      if got then
        local entries, index, found = {}, {}, { q, ARGV[6 + l] }
        for i, envelope in ipairs(got) do
          local tag = prefix .. (taken + i) .. ':' .. ARGV[6 + l]
          entries[2 * i - 1], entries[2 * i] = tag, '[' .. envelope .. tail
          index[2 * i - 1], index[2 * i] = score, tag
          found[i + 2] = envelope
        end
        redis.call('HSET', KEYS[1], unpack(entries))
        redis.call('ZADD', KEYS[2], unpack(index))
        taken = taken + #got
        result[#result + 1] = found
      end
    end
    if taken >= limit and empty then
      empty = redis.call('EXISTS', KEYS[base + l]) == 0
    end
  end
  if empty then
    redis.call('DEL', bell, mark)
  else
    if taken > before then
      redis.call('DEL', mark)
    end
    ring(bell)
  end
end
if failure and taken == 0 then
  return redis.error_reply(failure)
end
return result
