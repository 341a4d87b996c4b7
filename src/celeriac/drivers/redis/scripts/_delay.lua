-- Shared by the scripts that keep messages for later; needs `_ring.lua`.

-- delay(names, delayed, queue, due, step, nonce, envelope): keep a message until the moment `due`.
-- The member is "<step>;<nonce>;<envelope>": the nonce keeps equal envelopes apart.
local function delay(names, delayed, queue, due, step, nonce, envelope)
  redis.call('ZADD', delayed, due, step .. ';' .. nonce .. ';' .. envelope)
  redis.call('SADD', names, queue)
end

