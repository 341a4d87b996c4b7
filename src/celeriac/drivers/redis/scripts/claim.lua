-- Acknowledge what was done, then take up to a number of messages and hold them.
--
-- KEYS  1 unacked   2 unacked_index   3 number of the newest revocation (see revoke.lua)
--       then for each queue: its lists, most urgent first; its bell; its mark
-- ARGV  1 number of tags   then the tags to acknowledge, as ack.lua does   then what `claim` wants (_claim.lua)
-- Result: first what ack.lua answers; then what `claim` adds.
-- Atomic.
local count = tonumber(ARGV[1])
local result = { acknowledge(KEYS[1], KEYS[2], { unpack(ARGV, 2, 1 + count) }) }
return claim(KEYS, 3, ARGV, 2 + count, result) or result
