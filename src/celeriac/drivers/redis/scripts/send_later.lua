-- Keep messages of one list until they are due; while no node of ours is alive, make them ready instead. Nothing, if
-- this very send was stored before.
-- A fleet of stock workers never looks into the delayed set; whichever worker takes such a message reads its eta.
--
-- KEYS  1 list   2 bell   3 delayed set   4 names of queues with a delayed set   5 alive
--       6 last number of the sender (left out: it is not remembered)
-- ARGV  1 queue   2 step   3 number of this send ('' without sender)   then triples: due moment, nonce, envelope
-- Result: how many are stored.
-- Atomic: all of them or, on an error, none. That the list's key holds something else is an error now, not when they are
-- due.
redis.call('LLEN', KEYS[1])
once(KEYS[6], ARGV[3], function()
  local alive = redis.call('EXISTS', KEYS[5]) == 1
  for i = 4, #ARGV, 3 do
    if alive then
      delay(KEYS[4], KEYS[3], ARGV[1], ARGV[i], ARGV[2], ARGV[i + 1], ARGV[i + 2])
    else
      redis.call('LPUSH', KEYS[1], ARGV[i + 2])
    end
  end
  if not alive then
    ring(KEYS[2])
  end
end)
return (#ARGV - 3) / 3
