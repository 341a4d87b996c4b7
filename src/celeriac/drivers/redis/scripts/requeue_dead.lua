-- Give dead letters of one queue and step back, at the end of the line.
--
-- KEYS  1 dead letters   2 list   3 bell
-- ARGV  pairs: number of the letter, its envelope as it shall be from now on
-- Result: the positions (from 0) of the letters that were no longer there.
-- Atomic. A letter never changes, so who has read it may say its envelope. What it removes comes before what it adds;
-- that the list's key holds something else is asked before, since a script that fails keeps what it has written.
redis.call('LLEN', KEYS[2])
local missing = {}
for i = 1, #ARGV, 2 do
  if redis.call('ZREMRANGEBYSCORE', KEYS[1], ARGV[i], ARGV[i]) == 1 then
    redis.call('LPUSH', KEYS[2], ARGV[i + 1])
  else
    missing[#missing + 1] = (i - 1) / 2
  end
end
if #missing < #ARGV / 2 then
  ring(KEYS[3])
end
return missing
