-- Tell again what a claim has taken, and hold it for a new while: its answer never arrived.
--
-- KEYS  1 unacked   2 unacked_index
-- ARGV  1 the claim's tag prefix   2 number of the first message   3 limit   4 now ('' for the server's own time)
--       5 lease minus visibility timeout   6 number of lists per queue   then their steps   then for each queue of the
--       claim the end of its entries: ,"","<queue>"]
-- Result: for each message: its number, step, number of its queue, envelope. Its tag is that of the claim:
--       <prefix><n>:<step>.
-- Atomic. A claim numbers its messages without gaps, so the first number that is not held is the end: nothing more was
-- taken, or the leases ended. A full server may refuse to renew: then the messages keep the lease that they have.
local prefix, number, limit, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local lists = tonumber(ARGV[6])

-- queue_of(entry): the number of its queue, and its envelope.
local function queue_of(entry)
  for q = 1, #ARGV - 6 - lists do
    local tail = ARGV[6 + lists + q]
    if string.sub(entry, -#tail) == tail then
      return q, string.sub(entry, 2, -#tail - 1)
    end
  end
end

local found, held = {}, {}
while #found < limit do
  local tags, before = {}, #found
  for l = 1, lists do
    tags[l] = prefix .. number .. ':' .. ARGV[6 + l]
  end
  for l, entry in ipairs(redis.call('HMGET', KEYS[1], unpack(tags))) do
    local queue, envelope = queue_of(entry or '')
    if queue then
      found[#found + 1] = { number, ARGV[6 + l], queue, envelope }
      held[#held + 1] = tags[l]
    end
  end
  if #found == before then
    break
  end
  number = number + 1
end
if #found > 0 then
  if not now then
    local time = redis.call('TIME')
    now = time[1] + time[2] / 1000000
  end
  local score, scored = string.format('%.6f', now + ARGV[5]), {}
  for i, tag in ipairs(held) do
    scored[2 * i - 1], scored[2 * i] = score, tag
  end
  redis.pcall('ZADD', KEYS[2], unpack(scored))
end
return found
