"""Write the configuration of MLflow's logins to stdout, from the environment.

DATABASE_URI        where the runs are; logins live in a database of their own beside it, with `_auth` behind its name
AUTH_DATABASE_URI   where logins are instead
DEFAULT_PERMISSION  of every login on what others made: EDIT, so that members log to one experiment and add versions
                    to one model; READ lets only the one who made them, and the admin
"""

import configparser
import os
import sys
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

PERMISSIONS = ("READ", "USE", "EDIT", "MANAGE", "NO_PERMISSIONS")


def auth_uri(uri: str) -> str:
    """The database beside `uri` with `_auth` behind its name; driver, password and options (`?sslmode=...`) stay."""
    url = make_url(uri)
    if not url.database:
        raise ValueError("DATABASE_URI: expected the name of a database, found none; add /NAME")
    path = Path(url.database)
    name = str(path.with_stem(f"{path.stem}_auth")) if url.get_backend_name() == "sqlite" else f"{url.database}_auth"
    return url.set(database=name).render_as_string(hide_password=False)


def configuration(environment: dict[str, str]) -> configparser.ConfigParser:
    """What MLflow reads from MLFLOW_AUTH_CONFIG_PATH."""
    permission = environment.get("DEFAULT_PERMISSION") or "EDIT"
    if permission not in PERMISSIONS:
        raise ValueError(f"DEFAULT_PERMISSION: expected {' or '.join(PERMISSIONS)}, found {permission}; correct it")
    written = configparser.ConfigParser()
    uri = environment.get("AUTH_DATABASE_URI") or auth_uri(environment["DATABASE_URI"])
    written["mlflow"] = {
        "default_permission": permission,
        "database_uri": uri.replace("%", "%%"),  # configparser's own sign
        "admin_username": "admin",
        "auth_cache_ttl_seconds": "60",
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    return written


def main() -> None:
    """Write it, or say in a line what is wrong; never the address, which holds a password."""
    try:
        configuration(dict(os.environ)).write(sys.stdout)
    except ArgumentError:
        sys.exit(
            "DATABASE_URI: expected postgresql+psycopg2://USER:PASSWORD@HOST:PORT/NAME, found another form; correct it"
        )
    except (ValueError, KeyError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
