-- note_upload: a person is about to send a document to the provider, from where the account's key is. No job records it.
-- ARGV  token of this upload, actor, account, detail: the document's type, and for which numbers
-- Reply 'ok'
-- Twice: the second run finds the token.
--- @include "include/decisions.lua"
--- @include "include/keys.lua"
local KEPT_S = 3600
local token, actor, account, detail = unpack(ARGV, 1, 4)
if redis.call('SET', key('audit', 'noted', token), '1', 'NX', 'EX', KEPT_S) then note_decision('documents upload', account, actor, detail) end
return 'ok'
