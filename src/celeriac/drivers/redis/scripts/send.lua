-- Append ready messages to one list and ring its queue's bell; nothing, if this very send was stored before.
--
-- KEYS  1 list   2 bell   3 last number of the sender (left out: it is not remembered)
-- ARGV  1 number of this send ('' without sender)   then the envelopes, in order
-- Result: how many are stored.
-- Atomic: all of them or, on an error (out of memory, read-only), none.
once(KEYS[3], ARGV[1], function()
  redis.call('LPUSH', KEYS[1], unpack(ARGV, 2))
  ring(KEYS[2])
end)
return #ARGV - 1
