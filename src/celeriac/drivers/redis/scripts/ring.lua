-- Ring for queues that have messages which nobody rang for: those of stock producers.
--
-- KEYS  1 names of queues with a delayed set   then for each queue: its lists; its bell; its mark
-- ARGV  1 number of lists per queue   2 milliseconds that a mark lasts
-- Result: whether some queue has messages, and whether some are delayed: 1 or 0 each.
-- Atomic. The mark holds the lengths for which somebody rang, so that of many watchers one rings for each push; whoever
-- takes messages clears it. Where all is empty, one EXISTS tells, unless there are more lists than Lua unpacks (8,000).
local lists, waiting = tonumber(ARGV[1]), 0
local delayed, all = redis.call('EXISTS', KEYS[1]), {}
for base = 1, #KEYS - 1, lists + 2 do
  for l = 1, lists do
    all[#all + 1] = KEYS[base + l]
  end
end
if #all == 0 or (#all < 7000 and redis.call('EXISTS', unpack(all)) == 0) then
  return { 0, delayed }
end
for base = 1, #KEYS - 1, lists + 2 do
  local total, lengths = 0, {}
  for l = 1, lists do
    lengths[l] = redis.call('LLEN', KEYS[base + l])
    total = total + lengths[l]
  end
  if total > 0 then
    waiting = 1
    local seen, mark = table.concat(lengths, ':'), KEYS[base + lists + 2]
    if redis.call('GET', mark) ~= seen then
      redis.call('SET', mark, seen, 'PX', ARGV[2])
      ring(KEYS[base + lists + 1])
    end
  end
end
return { waiting, delayed }
