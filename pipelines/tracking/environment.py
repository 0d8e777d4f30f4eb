"""What W&B's client may see of the environment: how to reach a server, nothing of what is sent.

Shells and jobs are full of the rest: `wandb agent` leaves the id of a sweep, under which the client
would log all trials as one run; others name a run, its group or its tags.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

#: All that begins so is the client's; it takes the other names for settings of a run.
PREFIX = "WANDB_"
#: Who and where; folders for caches and the user's own settings; patience and proxies.
ABOUT_THE_SERVER = re.compile(
    PREFIX + r"(API_KEY|IDENTITY_TOKEN_FILE|CREDENTIALS_FILE"
    r"|MODE|BASE_URL|APP_URL|ENTITY|ORGANIZATION|PROJECT"
    r"|DIR|CACHE_DIR|CONFIG_DIR|DATA_DIR|ARTIFACT_DIR"
    r"|HTTPS?_PROXY|HTTP_TIMEOUT|INSECURE_DISABLE_SSL|ERROR_REPORTING|CORE_DEBUG|DEBUG"
    r"|(X_|_)?(PROXIES|EXTRA_HTTP_HEADERS|SERVICE\w*|GRAPHQL_\w+|FILE_STREAM_\w+|FILE_TRANSFER_\w+))"
)
#: Of the others, those that somebody may have meant.
ABOUT_RUNS = re.compile(
    PREFIX + r"(RUN_\w+|SWEEP_\w+|RESUME\w*|FORK_FROM|NAME|NOTES|TAGS|JOB_TYPE)"
)


def ignored() -> list[str]:
    """Variables that say something of runs, and are not heeded."""
    return sorted(name for name in os.environ if ABOUT_RUNS.fullmatch(name))


@contextmanager
def about_the_server_only() -> Iterator[None]:
    """Hide the rest, for as long as the client reads the environment."""
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(PREFIX) and not ABOUT_THE_SERVER.fullmatch(name)
    }
    try:
        yield
    finally:
        os.environ.update(hidden)
