"""How several record ids are encoded in one call: published sources differ, and a server may accept only one of the forms."""

from typing import Literal, get_args

#: repeat: ``ids=1&ids=2``, as the published contract has it; brackets: ``ids[]=1&ids[]=2``; comma: ``ids=1,2``; single: one id a call.
IdsForm = Literal["repeat", "brackets", "comma", "single"]
#: `auto`: as it was learned of the account, else as the contract has it.
IdsFormSetting = Literal["auto", "repeat", "brackets", "comma", "single"]
IDS_FORMS: tuple[IdsForm, ...] = get_args(IdsForm)

#: A learned form is tested again after this time, because servers change.
LEARNED_FOR_DAYS = 30
EXAMPLES: dict[IdsForm, str] = {"repeat": "ids=1&ids=2", "brackets": "ids[]=1&ids[]=2", "comma": "ids=1,2", "single": "one id a call"}
