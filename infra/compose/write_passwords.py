"""Write the password file of Airflow's simple auth manager from AIRFLOW_ADMIN_PASSWORD.

python infra/compose/write_passwords.py FILE
"""

import json
import os
import sys
from pathlib import Path


def main(file: str) -> None:
    """Write the file, readable by its owner alone."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))


if __name__ == "__main__":
    main(sys.argv[1])
