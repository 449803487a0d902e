local LANES = {emergency = true, money = true, bulk = true}
local function lane_of(text) return LANES[text] and text or 'bulk' end
