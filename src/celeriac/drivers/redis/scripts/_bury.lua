-- Shared by the scripts that make dead letters.

-- bury(numbers, letters, queue, died, reason, step, envelope): keep a message as the newest dead letter of its queue.
-- The member is a JSON list [number, died, reason, step], a line break, and the envelope as it came, even if it is no
-- JSON. `reason` is JSON text. The number is the score, and counts up for ever in the hash `numbers`.
local function bury(numbers, letters, queue, died, reason, step, envelope)
  local number = redis.call('HINCRBY', numbers, queue, 1)
  local head = '[' .. table.concat({ number, died, reason, step }, ',') .. ']'
  redis.call('ZADD', letters, number, head .. '\n' .. envelope)
end

