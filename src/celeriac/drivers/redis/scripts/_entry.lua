-- Shared by the scripts that read entries of the hash of unacknowledged messages.

-- cut(entry): the envelope's text, the exchange and the routing key of an entry, which is the JSON list
-- [envelope, exchange, routing key], ours or a stock worker's (with spaces); nil when it has another form.
-- By pattern from the end: cjson would write empty lists back as objects, and fails on what is no JSON.
local function cut(entry)
  local envelope, exchange, key = string.match(entry, '^%[(.*),%s*"([^"]*)",%s*"([^"]*)"%s*%]$')
  if not envelope then
    envelope, key = string.match(entry, '^%[(.*),%s*null,%s*"([^"]*)"%s*%]$')
    exchange = ''
  end
  if envelope and string.find(exchange .. key, '\\', 1, true) then
    local names = cjson.decode('["' .. exchange .. '","' .. key .. '"]')
    exchange, key = names[1], names[2]
  end
  return envelope, exchange, key
end

