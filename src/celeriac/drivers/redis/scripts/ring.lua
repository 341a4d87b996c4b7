-- Ring for queues that have messages which nobody rang for: those of stock producers.
--
-- KEYS  for each queue: its lists; its bell; its mark
-- ARGV  1 number of lists per queue   2 milliseconds that a mark lasts
-- Result: 1 when some queue has messages, else 0.
-- Atomic. Run on a connection with CLIENT TRACKING, its reads ask the server to tell of the next change of these lists.
-- The mark holds the lengths for which somebody rang, so that of many watchers one rings for each push; whoever takes
-- messages clears it.
local lists, waiting = tonumber(ARGV[1]), 0
for base = 0, #KEYS - 1, lists + 2 do
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
return waiting
