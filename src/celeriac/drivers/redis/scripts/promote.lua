-- Make due messages ready, on all queues, and say that a node of ours is alive.
--
-- KEYS  1 names of queues with a delayed set   2 alive
-- ARGV  1 now   2 limit   3 seconds to count as alive   4 key prefix   5 separator of list names
-- Result: how many were promoted, and the earliest moment that is still waited for ('' for none).
-- Atomic. The delayed sets, lists and bells are named from the queues' names. What is for a list whose key holds
-- something else stays where it is, and is not waited for: it must hold up no other queue.
redis.call('SET', KEYS[2], '1', 'EX', ARGV[3])
local left, promoted, earliest = tonumber(ARGV[2]), 0, ''
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local delayed, moved, stuck = ARGV[4] .. 'celeriac:delayed:' .. queue, 0, false
  local due = left > 0 and redis.call('ZRANGEBYSCORE', delayed, '-inf', ARGV[1], 'LIMIT', 0, left) or {}
  for _, member in ipairs(due) do
    local step, envelope = string.match(member, '^(%d+);[^;]*;(.*)$')
    local list = ARGV[4] .. queue
    if step ~= '0' then
      list = list .. ARGV[5] .. step
    end
    local length = redis.pcall('LLEN', list)
    if type(length) == 'table' then
      stuck = true
    else
      redis.call('ZREM', delayed, member)
      redis.call('LPUSH', list, envelope)
      moved = moved + 1
    end
  end
  left, promoted = left - moved, promoted + moved
  if moved > 0 then
    ring(ARGV[4] .. 'celeriac:bell:' .. queue)
  end
  local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if stuck then
    -- asked again in the next round
  elseif #first == 0 then
    redis.call('SREM', KEYS[1], queue)
  elseif earliest == '' or tonumber(first[2]) < tonumber(earliest) then
    earliest = first[2]
  end
end
return { promoted, earliest }
