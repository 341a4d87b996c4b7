-- Shared by the scripts that make messages ready; put before them when they are loaded.

-- ring(bell): lay one token on `bell` unless one lies there. An engine that waits for the bell takes it at once.
-- One is enough: the engine that answers passes the bell on when it leaves messages behind. The TTL only sweeps up.
local function ring(bell)
  if redis.call('EXISTS', bell) == 0 then
    redis.call('RPUSH', bell, '1')
    redis.call('EXPIRE', bell, 60)
  end
end

