-- Shared by the scripts that send; put before them when they are loaded.

-- once(sent, number, store): call `store` unless this send was stored before. `sent` keeps the sender's last number, nil
-- where there is none. A sender's numbers grow, and it sends one thing at a time: what is not above the last one is a
-- repeat, or comes late. A store that is refused is not remembered. One command, since every message pays for it.
local function once(sent, number, store)
  if not sent then
    return store()
  end
  local last = redis.call('SET', sent, number, 'EX', '120', 'GET')
  if last and tonumber(last) >= tonumber(number) then
    if last ~= number then
      redis.call('SET', sent, last, 'EX', '120')
    end
    return
  end
  local is_stored, why = pcall(store)
  if not is_stored then
    redis.call('DEL', sent)
    error(why)
  end
end

