-- Builds, searches and rewrites strings of many lengths, as often as the first argument says.
-- Prints a sum over all of them; a text that loses a word ends the program.

local sum = 0

for round = 1, tonumber(arg[1]) do
  local words = {}
  for index = 1, 4000 do
    words[index] = ("word%d-%d"):format(round, index) .. ("x"):rep(index % 150)
  end
  local text = table.concat(words, " ")
  local upper = text:gsub("word(%d+)", function(number) return "WORD" .. number end)
  local counted = 0
  for word in upper:gmatch("%S+") do
    counted = counted + 1
    sum = (sum * 31 + #word + word:byte(-1)) % 2147483647
  end
  assert(counted == #words, "a word was lost")
  local grown = ""
  for index = 1, 300 do
    grown = grown .. words[index]
  end
  sum = (sum * 31 + #grown) % 2147483647
end

print(sum)
