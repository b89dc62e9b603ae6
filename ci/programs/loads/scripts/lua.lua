-- Tables and strings that grow and die, coroutines, closures; prints what they computed.
local seed = 12345
local function dice(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed // 65536 % n
end

local function hash(text, from)
  local h = from or 5381
  for i = 1, #text do h = (h * 33 + text:byte(i)) % 4294967296 end
  return h
end

local live, sum = {}, 0
for step = 1, 60000 do
  local key, act = 'key' .. dice(400), dice(6)
  if act == 0 then
    live[key] = string.rep(key, dice(300))
  elseif act == 1 then
    local list = {}
    for n = 1, dice(200) do list[n] = n .. ':' .. step end
    live[key] = table.concat(list, ',')
  elseif act == 2 then
    live[key] = (live[key] or ''):gsub('%d+', function(d) return d + 1 end):sub(1, 5000)
  elseif act == 3 then
    sum = hash((live[key] or key):upper():reverse():sub(1, 200), sum)
  elseif act == 4 then
    live[key] = (live[key] or '') .. string.format('%08x%5.2f', step, step / 7)
  else
    live[key] = nil
  end
end

local keys = {}
for key in pairs(live) do keys[#keys + 1] = key end
table.sort(keys)
for _, key in ipairs(keys) do sum = hash(key .. live[key]:sub(1, 500), sum) end
print('strings', #keys, sum)

local numbers = {}
for i = 1, 400000 do numbers[i] = dice(1000000) end
table.sort(numbers)
print('sorted', numbers[1], numbers[200000], numbers[400000])

local routines = {}
for i = 1, 2000 do
  routines[i] = coroutine.wrap(function()
    local mine = {}
    for n = 1, 20 do mine[n] = string.rep(i, n); coroutine.yield(#mine[n]) end
    return hash(table.concat(mine))
  end)
end
local total = 0
for _ = 1, 21 do
  for i = 1, #routines do total = (total + routines[i]()) % 4294967296 end
end
print('coroutines', total)

local root
for i = 1, 300000 do root = { next = i % 1000 ~= 0 and root or nil, value = i, f = function() return i end } end
collectgarbage('generational')
for i = 1, 200000 do root = { next = i % 100 ~= 0 and root or nil, value = root.f and root.f() or i, f = root.f } end
print('chain', root.value)
collectgarbage()
