-- Give held messages of one list back: first in line, in their order, or after a delay.
--
-- KEYS  1 unacked   2 unacked_index   3 list   4 bell   5 delayed set   6 names of queues with a delayed set
-- ARGV  1 queue   2 step   3 due moment ('' for now)   4 nonce   5 '1' to mark as redelivered
--       then tags, in the order in which they were delivered
-- Result: the positions (from 0) of the tags that were no longer held.
-- Atomic. What it removes comes before what it adds, so a full server accepts it; that a key holds something else is
-- asked before, since a script that fails keeps what it has written.
local due, lost = ARGV[3], {}
redis.call('LLEN', KEYS[3])
if due ~= '' then
  redis.call('ZCARD', KEYS[5])
  redis.call('SCARD', KEYS[6])
end
for i = #ARGV, 6, -1 do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  if entry then
    local envelope = cut(entry) or entry
    if ARGV[5] == '1' then
      envelope = mark(envelope)
    end
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
    if due == '' then
      redis.call('RPUSH', KEYS[3], envelope)
    else
      delay(KEYS[6], KEYS[5], ARGV[1], due, ARGV[2], ARGV[4] .. '.' .. i, envelope)
    end
  else
    lost[#lost + 1] = i - 6
  end
end
if due == '' and #lost < #ARGV - 5 then
  ring(KEYS[4])
end
return lost
