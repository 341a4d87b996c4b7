-- Write the states of tasks, each unless a more final one is there, and tell those who wait for it.
--
-- KEYS  results, each of which is also the name of a channel
-- ARGV  1 milliseconds to keep them ('' for ever), then for each key: its payload; whether the new state is an end: 1 or 0
-- Result: how many were written; the others were passed over.
-- Atomic. The rule is that of celeriac.states.may_replace: SUCCESS stays; FAILURE and REVOKED give way to another end only.
-- The old state is the word after the first "status", which every serializer leaves readable; stock writes it first.
-- Compressed payloads have none: they are large, so they are ends, and give way to another end.
local ttl, written = ARGV[1], 0

local function may_replace(key, is_end)
  local status = string.match(redis.call('GET', key), 'status[^%w_]*([%w_]+)') or 'FAILURE'
  return not (status == 'SUCCESS' or ((status == 'FAILURE' or status == 'REVOKED') and is_end == '0'))
end

local function set(key, payload, condition)
  if ttl == '' then
    return redis.call('SET', key, payload, condition)
  end
  return redis.call('SET', key, payload, 'PX', ttl, condition)
end

for n, key in ipairs(KEYS) do
  local payload = ARGV[2 * n]
  -- Nearly always nothing is there: one command then, and not two.
  if set(key, payload, 'NX') or (may_replace(key, ARGV[2 * n + 1]) and set(key, payload, 'XX')) then
    redis.call('PUBLISH', key, payload)
    written = written + 1
  end
end
return written
