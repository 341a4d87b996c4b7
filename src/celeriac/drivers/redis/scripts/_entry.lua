-- Shared by the scripts that read entries of the hash of unacknowledged messages.

-- string_before(text, last): where the JSON string begins whose end is the last quote up to `last`, and where it ends.
local function string_before(text, last)
  while last > 0 and string.sub(text, last, last) ~= '"' do
    last = last - 1
  end
  local first = last - 1
  while first > 0 do
    if string.sub(text, first, first) == '"' then
      local before = first - 1
      while string.sub(text, before, before) == '\\' do
        before = before - 1
      end
      if (first - 1 - before) % 2 == 0 then
        return first, last
      end
    end
    first = first - 1
  end
  return nil
end

-- cut_quoted(entry): as `cut`, with quotes in the names.
local function cut_quoted(entry)
  local key, key_end = string_before(entry, #entry)
  if not key or not string.find(entry, '^"%s*%]$', key_end) then
    return nil
  end
  local envelope, exchange, exchange_end = string.match(string.sub(entry, 1, key - 1), '^%[(.*),%s*null,%s*$'), nil, nil
  if not envelope then
    exchange, exchange_end = string_before(entry, key - 1)
    envelope = exchange and string.match(string.sub(entry, 1, exchange - 1), '^%[(.*),%s*$')
    if not envelope or not string.find(string.sub(entry, exchange_end, key - 1), '^",%s*$') then
      return nil
    end
  end
  exchange = exchange and string.sub(entry, exchange, exchange_end) or '""'
  local is_json, names = pcall(cjson.decode, '[' .. exchange .. ',' .. string.sub(entry, key, key_end) .. ']')
  if is_json then
    return envelope, names[1], names[2]
  end
end

-- cut(entry): the envelope's text, the exchange and the routing key of an entry, which is the JSON list
-- [envelope, exchange, routing key], ours or a stock worker's (with spaces); nil when it has another form.
-- By pattern from the end: cjson would write empty lists back as objects, and fails on what is no JSON.
local function cut(entry)
  local envelope, exchange, key = string.match(entry, '^%[(.*),%s*"([^"]*)",%s*"([^"]*)"%s*%]$')
  if not envelope then
    envelope, key = string.match(entry, '^%[(.*),%s*null,%s*"([^"]*)"%s*%]$')
    exchange = ''
  end
  if not envelope then
    return cut_quoted(entry)
  end
  if string.find(exchange .. key, '\\', 1, true) then
    local is_json, names = pcall(cjson.decode, '["' .. exchange .. '","' .. key .. '"]')
    if not is_json then
      return nil
    end
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
