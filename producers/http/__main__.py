"""The descriptions, as `docs` has them.

python -m producers.http > docs/openapi.json
python -m producers.http asyncapi > docs/asyncapi.json
"""

import json
import sys

from producers.http.app import described
from producers.http.asyncapi import asyncapi

if __name__ == "__main__":
    found = asyncapi() if sys.argv[1:] == ["asyncapi"] else described().openapi()
    sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
