-- Write a task's state, unless a more final one is there, and tell those who wait for it.
--
-- KEYS  1 result, which is also the name of the channel
-- ARGV  1 payload   2 milliseconds to keep it ('' for ever)   3 whether the new state is an end: 1 or 0
-- Result: 1 when it was written, 0 when it was passed over.
-- Atomic. The rule is that of celeriac.states.may_replace: SUCCESS stays; FAILURE and REVOKED give way to another end only.
-- The old state is the word after the first "status", which every serializer leaves readable; stock writes it first.
-- Compressed payloads have none: they are large, so they are ends, and give way to another end.
local old = redis.call('GET', KEYS[1])
if old then
  local status = string.match(old, 'status[^%w_]*([%w_]+)') or 'FAILURE'
  if status == 'SUCCESS' or ((status == 'FAILURE' or status == 'REVOKED') and ARGV[3] == '0') then
    return 0
  end
end
if ARGV[2] == '' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
