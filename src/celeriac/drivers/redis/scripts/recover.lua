-- Tell again what a claim has taken, and hold it for a new while: its answer never arrived.
--
-- KEYS  1 unacked   2 unacked_index
-- ARGV  1 the claim's tag prefix   2 number of the first message   3 limit   4 now ('' for the server's own time)
--       5 lease minus visibility timeout   then the priority steps
-- Result: for each message: its number, step, queue, envelope. Their tags are those of the claim, <prefix><n>:<step>.
-- Atomic. A claim numbers its messages without gaps, so the first number that is not held is the end: nothing more was
-- taken, or the leases ended. A full server may refuse to renew: then the messages keep the lease that they have.
local limit, now, number = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[2])
local found, index = {}, {}
while #found < limit do
  local tags, one = {}, nil
  for i = 6, #ARGV do
    tags[i - 5] = ARGV[1] .. number .. ':' .. ARGV[i]
  end
  for i, entry in ipairs(redis.call('HMGET', KEYS[1], unpack(tags))) do
    if entry then
      local envelope, _, queue = cut(entry)
      one = { number, ARGV[5 + i], queue, envelope }
      index[#index + 1] = tags[i]
    end
  end
  if not one then
    break
  end
  found[#found + 1] = one
  number = number + 1
end
if #found > 0 then
  if not now then
    local time = redis.call('TIME')
    now = time[1] + time[2] / 1000000
  end
  local score, scored = string.format('%.6f', now + ARGV[5]), {}
  for i, tag in ipairs(index) do
    scored[2 * i - 1], scored[2 * i] = score, tag
  end
  redis.pcall('ZADD', KEYS[2], unpack(scored))
end
return found
