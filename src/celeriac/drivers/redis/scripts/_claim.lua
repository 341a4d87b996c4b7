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

-- share(keys, after, lists, taken): a quarter of what was ready before so many were taken, rounded up: FAIR_SHARE of the
-- broker's contract.
local function share(keys, after, lists, taken)
  local ready = taken
  for k = after + 1, #keys do
    if (k - after - 1) % (lists + 2) < lists then
      local length = redis.pcall('LLEN', keys[k])
      ready = ready + (type(length) == 'number' and length or 0)
    end
  end
  return math.ceil(ready / 4)
end

-- hold(keys, list, got, entries, scores): note as held what was just taken from the list; where a key holds something else,
-- put all back as it was and return the error.
local function hold(keys, list, got, entries, scores)
  local done = redis.pcall('HSET', keys[1], unpack(entries))
  if type(done) == 'number' then
    done = redis.pcall('ZADD', keys[2], unpack(scores))
    if type(done) == 'number' then
      return
    end
    for i = 1, #entries, 2 do
      redis.call('HDEL', keys[1], entries[i])
    end
  end
  for i = #got, 1, -1 do
    redis.call('RPUSH', list, got[i])
  end
  return redis.error_reply(done.err)
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
-- A message is noted as held before the next list is touched, and put back where that fails, so that nothing is ever popped
-- and not held. Popping comes before writing, because a server that is out of memory refuses a script's first write only if
-- it needs memory: claims go on. What is there beyond `freely` is counted only when so many were taken. One EXISTS tells where all is empty, and
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
  local quota, taken, failure = math.min(limit, freely), 0, nil
  for q = 1, queues do
    local base = after + (q - 1) * (lists + 2)
    local bell, mark, tail = keys[base + lists + 1], keys[base + lists + 2], argv[tails + q]
    local before, empty = taken, true
    for l = 1, lists do
      local list, step = keys[base + l], argv[steps + l]
      while taken < quota do
        local wanted = quota - taken
        local got = redis.pcall('RPOP', list, wanted)
        if got and got.err then
          failure, got = failure or got.err, false
        end
        if not got then
          break
        end
        local entries, scores, found = {}, {}, { q, step }
        for i, envelope in ipairs(got) do
          local tag = prefix .. (taken + i) .. ':' .. step
          entries[2 * i - 1], entries[2 * i] = tag, '[' .. envelope .. tail
          scores[2 * i - 1], scores[2 * i] = score, tag
          found[i + 2] = envelope
        end
        local refusal = hold(keys, list, got, entries, scores)
        if refusal then
          return refusal
        end
        taken = taken + #got
        result[#result + 1] = found
        if #got < wanted then
          there = there and there - 1
          if there == 0 then
            return
          end
          break
        end
        if quota < limit then
          quota = math.min(limit, math.max(freely, share(keys, after, lists, taken)))
          limit = quota
        end
      end
      if taken >= quota and empty then
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

