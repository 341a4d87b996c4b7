-- Shared by the scripts that store the states of tasks; put before them when they are loaded.

-- may_replace(key, is_end): whether a new state may take the place of the one that is there. The rule is that of
-- celeriac.states.may_replace: SUCCESS stays; FAILURE and REVOKED give way to another end only. The old state is the word
-- after the first "status", which every serializer leaves readable; stock writes it first. Compressed payloads have none:
-- they are large, so they are ends, and give way to another end.
local function may_replace(key, is_end)
  local status = string.match(redis.call('GET', key), 'status[^%w_]*([%w_]+)') or 'FAILURE'
  return not (status == 'SUCCESS' or ((status == 'FAILURE' or status == 'REVOKED') and is_end == '0'))
end

local function set(key, payload, ttl, condition)
  if ttl == '' then
    return redis.call('SET', key, payload, condition)
  end
  return redis.call('SET', key, payload, 'PX', ttl, condition)
end

-- store(key, payload, is_end, ttl): write a state unless a more final one is there, and tell those who wait for it on the
-- channel of the same name; return how many were written, 1 or 0. `ttl` is in milliseconds, '' for ever.
local function store(key, payload, is_end, ttl)
  -- Nearly always nothing is there: one command then, and not two.
  if set(key, payload, ttl, 'NX') or (may_replace(key, is_end) and set(key, payload, ttl, 'XX')) then
    redis.call('PUBLISH', key, payload)
    return 1
  end
  return 0
end

