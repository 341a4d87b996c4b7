-- Take back messages whose lease ran out, ours and stock workers', mark them as redelivered and put them first in line.
--
-- KEYS  1 unacked   2 unacked_index   3 numbers of dead letters
-- ARGV  1 now minus visibility timeout   2 limit   3 key prefix   4 separator   5 now   then the priority steps, rising
-- Result: how many were taken back, and the lowest score that is left ('' for none).
-- Atomic. Lists, bells, binding tables and dead letters are named from what the entries say.
-- Where a message goes: an entry without an exchange names its queue; otherwise the exchange's binding table does, as
-- stock workers look it up. What has no way to go, or is for a list whose key holds something else, becomes a dead letter:
-- it must hold up no other, and a script that fails keeps what it has removed.
local NO_LIST = '"The key of this queue holds something else, so the message could not be given back."'
local NO_QUEUE = '"No queue is bound for this message, which a stock worker held."'

-- step_of(tag, envelope): our tags end in it; in others the priority property says it, rounded down.
local function step_of(tag, envelope)
  local step = string.match(tag, '^cel:.*:(%d+)$')
  if step then
    return step
  end
  local at = string.find(envelope, '"properties":', 1, true) or 1
  local priority = tonumber(string.match(envelope, '"priority":%s*(%d+)', at) or '0')
  for i = #ARGV, 6, -1 do
    if tonumber(ARGV[i]) <= priority then
      return ARGV[i]
    end
  end
  return ARGV[6]
end

-- fits(pattern, key): whether a routing key matches a topic pattern, both as lists of words.
local function fits(pattern, key, p, k)
  if p > #pattern then
    return k > #key
  elseif pattern[p] == '#' then
    return fits(pattern, key, p + 1, k) or (k <= #key and fits(pattern, key, p, k + 1))
  end
  return k <= #key and (pattern[p] == '*' or pattern[p] == key[k]) and fits(pattern, key, p + 1, k + 1)
end

local function words(text)
  local found = {}
  for word in string.gmatch(text, '[^.]+') do
    found[#found + 1] = word
  end
  return found
end

-- queues_of(exchange, key): the names of the queues that the binding table leads to.
local function queues_of(exchange, key)
  if exchange == '' then
    return { key }
  end
  local same, matching = {}, {}
  for _, member in ipairs(redis.call('SMEMBERS', ARGV[3] .. '_kombu.binding.' .. exchange)) do
    local first = string.find(member, ARGV[4], 1, true)
    local second = first and string.find(member, ARGV[4], first + #ARGV[4], true)
    if second then
      local bound, queue = string.sub(member, 1, first - 1), string.sub(member, second + #ARGV[4])
      if bound == key then
        same[#same + 1] = queue
      elseif fits(words(bound), words(key), 1, 1) then
        matching[#matching + 1] = queue
      end
    end
  end
  return #same > 0 and same or matching
end

redis.call('HLEN', KEYS[3])
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for i = #expired, 1, -1 do
  local tag = expired[i]
  local entry = redis.call('HGET', KEYS[1], tag)
  redis.call('HDEL', KEYS[1], tag)
  redis.call('ZREM', KEYS[2], tag)
  if entry then
    local envelope, exchange, key = cut(entry)
    local queues = envelope and queues_of(exchange, key) or {}
    local step = step_of(tag, envelope or entry)
    for _, queue in ipairs(queues) do
      local list = ARGV[3] .. queue .. (step == '0' and '' or ARGV[4] .. step)
      if type(redis.pcall('LLEN', list)) == 'number' then
        redis.call('RPUSH', list, mark(envelope))
        ring(ARGV[3] .. 'celeriac:bell:' .. queue)
      else
        bury(KEYS[3], ARGV[3] .. 'celeriac:dead:' .. queue, queue, ARGV[5], NO_LIST, step, envelope)
      end
    end
    if #queues == 0 then
      bury(KEYS[3], ARGV[3] .. 'celeriac:dead:' .. (key or ''), key or '', ARGV[5], NO_QUEUE, step, envelope or entry)
    end
  end
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return { #expired, first[2] or '' }
