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

-- mark(envelope): the envelope with redelivered set in its headers and its delivery_info, where stock sets it. The first
-- unescaped "headers":{ is the envelope's own (ours by its writer's promise, stock's because its body comes in base64).
local function mark(envelope)
  for _, name in ipairs({ '"headers"', '"delivery_info"' }) do
    local _, brace = string.find(envelope, name .. ':%s*{')
    if brace and not string.find(envelope, '^"redelivered":true', brace + 1) then
      local rest = string.sub(envelope, brace + 1)
      local comma = string.find(rest, '^%s*}') and '' or ','
      envelope = string.sub(envelope, 1, brace) .. '"redelivered":true' .. comma .. rest
    end
  end
  return envelope
end
