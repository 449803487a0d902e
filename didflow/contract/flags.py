"""Yes or no in what a caller gives."""

from typing import Annotated

from pydantic import Field

#: ``true`` or ``false``. A text or a number isn't taken for one: which of them mean yes would have to be guessed.
Flag = Annotated[bool, Field(strict=True)]
