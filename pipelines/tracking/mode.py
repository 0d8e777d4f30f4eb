"""How trials are logged to W&B: online, offline or not at all.

W&B itself is loaded where a key is looked for and nowhere else. It takes half a second, which a
driver that was told the mode need not spend: its workers do.
"""

from __future__ import annotations

import logging
import os
from typing import Literal, get_args

from pipelines.errors import UserError
from pipelines.tracking.environment import about_the_server_only, ignored

Mode = Literal["online", "offline", "disabled"]
logger = logging.getLogger(__name__)


def resolve_mode(requested: str | None = None) -> Mode:
    """How to log: as requested, else as `WANDB_MODE` says, else online if a key is configured.

    Raises:
        UserError: an unknown mode, a malformed key, or "online" without a key.
    """
    mode = requested or os.environ.get("WANDB_MODE")
    if mode is not None and mode not in get_args(Mode):
        raise UserError(f"W&B mode {mode!r}: must be one of {', '.join(get_args(Mode))}")
    if mode == "disabled":
        return mode
    if names := ignored():
        logger.warning(
            "W&B: %s of the environment not heeded: each trial is a run of its own",
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}",
        )
    if mode == "offline":
        return mode
    if has_key():
        return "online"
    if mode == "online":
        raise UserError("W&B mode 'online': no API key found; run `wandb login`, or use 'offline'")
    logger.warning(
        "W&B: no API key found, so runs are logged offline; `report DIR --wandb` publishes them"
    )
    return "offline"


def wandb_url(mode: str) -> str | None:
    """Where W&B must be reached, if runs are sent there."""
    return _base_url() if mode == "online" else None


def has_key() -> bool:
    """Whether this machine has a key for W&B's server.

    Raises:
        UserError: it is malformed.
    """
    from wandb.errors import AuthenticationError
    from wandb.sdk.lib import wbauth

    url = _base_url()
    try:
        session = wbauth.authenticate_session(
            host=url, source="untuned", prompt=False, update_session=False
        )
    except AuthenticationError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"W&B key for {url}: {reason}") from error
    return session is not None


def _base_url() -> str:
    # Not wandb.setup(), which reads the same settings: it also starts a service, and names it in
    # the environment, so that child processes would share it, and lose it when this process ends.
    from wandb.sdk import wandb_setup

    with about_the_server_only():
        return wandb_setup.singleton().settings.base_url
