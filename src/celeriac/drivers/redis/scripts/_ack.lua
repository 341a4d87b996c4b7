-- Shared by the scripts that acknowledge; put before them when they are loaded.

-- acknowledge(unacked, index, tags): remove held messages for good; return the positions (from 0) of the tags that were
-- no longer held. Both calls only free memory, so a server that is full accepts them.
local function acknowledge(unacked, index, tags)
  local lost = {}
  if #tags == 0 then
    return lost
  end
  if redis.call('HDEL', unacked, unpack(tags)) < #tags then
    for i, score in ipairs(redis.call('ZMSCORE', index, unpack(tags))) do
      if not score then
        lost[#lost + 1] = i - 1
      end
    end
  end
  redis.call('ZREM', index, unpack(tags))
  return lost
end

