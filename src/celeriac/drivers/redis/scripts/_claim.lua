-- Shared by the scripts that take messages; needs `_ring.lua`.

-- end_of_lease(argv, at): the score in unacked_index of what is taken now, with `argv` as `claim` has it.
local function end_of_lease(argv, at)
  local now = tonumber(argv[at + 2])
  if not now then
    local time = redis.call('TIME')
    now = time[1] + time[2] / 1000000
  end
  return string.format('%.6f', now + argv[at + 3])
end

-- how_many_are_there(keys, after): how many of the lists, bells and marks are there, as one command tells; nil where there
-- are more keys than Lua unpacks (8,000).
local function how_many_are_there(keys, after)
  local count = #keys - after
  if count == 0 then
    return 0
  end
  return count < 7000 and redis.call('EXISTS', unpack(keys, after + 1)) or nil
end

-- newest_revocation(key): its number, false where there is none.
local function newest_revocation(key)
  local newest = redis.pcall('GET', key)
  return type(newest) == 'string' and newest
end

-- claim(keys, after, argv, at, result): take up to a number of messages and hold them; put what was taken behind what
-- `result` holds. `keys` begins with unacked and unacked_index; the key number `after` is that of the number of the newest
-- revocation (see revoke.lua); then come for each queue its lists, most urgent first; its bell; its mark.
-- From `at` on `argv` is:
--   limit; how many of them freely; beyond that a quarter of what is there, rounded up;
--   now ('' for the server's own time); lease minus visibility timeout; tag prefix;
--   number of lists per queue; then their steps; then for each queue the end of its entries: ,"","<queue>"]
-- Where all is empty it adds nothing. Else the number of the newest revocation; then for each list that gave something:
-- queue number, step, envelopes in order. The tag of the n-th envelope of the whole result is <prefix><n>:<step>.
-- Returns an error reply, or nil.
-- A message is noted as held before the next list is touched, and everything that could fail on a key of a wrong type is
-- asked first, so that nothing is ever popped and not held. Popping comes before writing, because a server that is out of
-- memory refuses a script's first write only if it needs memory: claims go on. One EXISTS tells where all is empty, and
-- after how many lists that were taken empty no other need be touched: an engine that a bell woke finds one message. A
-- list whose key holds something else is passed over, and is an error only where no other had anything: it must hold up
-- no other queue.
-- Wakes: the bell of a queue found empty is cleared in this same step, so that a token laid later is news; a queue that
-- keeps messages has its bell rung for the next engine. The mark (see ring.lua) is cleared with every take.
local function claim(keys, after, argv, at, result)
  local there = how_many_are_there(keys, after)
  if there == 0 then
    return -- an idle engine's claim ends here
  end
  result[#result + 1] = newest_revocation(keys[after])
  local limit, freely, prefix, score = tonumber(argv[at]), tonumber(argv[at + 1]), argv[at + 4], end_of_lease(argv, at)
  local lists = tonumber(argv[at + 5])
  local steps, queues = at + 5, (#keys - after) / (lists + 2)
  local tails = steps + lists
  if limit > freely then
    local ready = 0
    for q = 1, queues do
      local base = after + (q - 1) * (lists + 2)
      for l = 1, lists do
        local length = redis.pcall('LLEN', keys[base + l])
        ready = ready + (type(length) == 'number' and length or 0)
      end
    end
    limit = math.min(limit, math.max(freely, math.ceil(ready / 4))) -- FAIR_SHARE of the broker's contract
  end
  redis.call('HLEN', keys[1])
  redis.call('ZCARD', keys[2])
  local taken, failure = 0, nil
  for q = 1, queues do
    local base = after + (q - 1) * (lists + 2)
    local bell, mark, tail = keys[base + lists + 1], keys[base + lists + 2], argv[tails + q]
    local before, empty = taken, true
    for l = 1, lists do
      if taken < limit then
        local wanted = limit - taken
        local got = redis.pcall('RPOP', keys[base + l], wanted)
        if got and got.err then
          failure, got = failure or got.err, false
        end
        if got then
          local entries, scores, found = {}, {}, { q, argv[steps + l] }
          for i, envelope in ipairs(got) do
            local tag = prefix .. (taken + i) .. ':' .. argv[steps + l]
            entries[2 * i - 1], entries[2 * i] = tag, '[' .. envelope .. tail
            scores[2 * i - 1], scores[2 * i] = score, tag
            found[i + 2] = envelope
          end
          redis.call('HSET', keys[1], unpack(entries))
          redis.call('ZADD', keys[2], unpack(scores))
          taken = taken + #got
          result[#result + 1] = found
          if there and #got < wanted then
            there = there - 1
            if there == 0 then
              return
            end
          end
        end
      end
      if taken >= limit and empty then
        empty = redis.call('EXISTS', keys[base + l]) == 0
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
end

