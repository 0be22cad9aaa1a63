"""Git for tests, whatever git hook runs them and whoever's settings apply."""

import os
import subprocess


def git(*arguments: str) -> str:
    """What git says, of the repository in the working directory."""
    identity = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    process = subprocess.run(
        ["git", *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
    )
    return process.stdout.strip()
