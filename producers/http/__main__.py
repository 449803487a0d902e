"""`python -m producers.http`: the OpenAPI description, as `docs/openapi.json` has it."""

import json
import sys

from producers.http.app import described

if __name__ == "__main__":
    sys.stdout.write(json.dumps(described().openapi(), indent=1, ensure_ascii=False) + "\n")
