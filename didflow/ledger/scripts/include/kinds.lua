-- Which kinds of job a rule is about is the caller's knowledge (didflow/contract/job_kinds.py): scripts get their names, in words.
local function is_one_of(kinds, kind) return kind and string.find(' ' .. kinds .. ' ', ' ' .. kind .. ' ', 1, true) ~= nil end
