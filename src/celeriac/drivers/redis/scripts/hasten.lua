-- Let delayed messages of some tasks be due.
--
-- KEYS  1 delayed set of a queue
-- ARGV  1 cursor, '0' to begin   2 now   then the tasks' ids
-- Result: the cursor to go on with, '0' at the end.
-- Atomic for a part of the set: some 1000 messages. The id is looked for by pattern, in headers of our own writing or
-- stock's; a message that is hastened by mistake goes back, for it says itself when it is due.
local wanted = {}
for place = 3, #ARGV do
  wanted[ARGV[place]] = true
end
local part = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', 1000)
for place = 1, #part[2], 2 do
  local member = part[2][place]
  local headers = string.find(member, '"headers":', 1, true)
  local id = headers and string.match(member, '"id":%s*"([^"]*)"', headers)
  if id and wanted[id] then
    redis.call('ZADD', KEYS[1], 'XX', ARGV[2], member)
  end
end
return part[1]
