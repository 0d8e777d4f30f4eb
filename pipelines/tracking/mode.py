"""How trials are logged to W&B. A driver that was told so need not load W&B, which takes half a
second: its workers do."""

from __future__ import annotations

import logging
import os
from typing import Literal, get_args

from pipelines.errors import UserError

Mode = Literal["online", "offline", "disabled"]
logger = logging.getLogger(__name__)


def resolve_mode(requested: str | None = None) -> Mode:
    """How to log: as requested, else as `WANDB_MODE` says, else online if a key is configured.

    Raises `UserError` for an unknown mode, a malformed key, or "online" without a key.
    """
    mode = requested or os.environ.get("WANDB_MODE")
    if mode is not None and mode not in get_args(Mode):
        raise UserError(f"W&B mode {mode!r}: must be one of {', '.join(get_args(Mode))}")
    if mode in ("offline", "disabled"):
        return mode
    if _has_key():
        return "online"
    if mode == "online":
        raise UserError("W&B mode 'online': no API key found; run `wandb login`, or use 'offline'")
    logger.warning(
        "W&B: no API key found, so runs are logged offline; `report DIR --wandb` publishes them"
    )
    return "offline"


def _has_key() -> bool:
    from wandb.errors import AuthenticationError
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth

    # Not wandb.setup(): it starts a service, and makes child processes depend on it.
    host = wandb_setup.singleton().settings.base_url
    try:
        found = wbauth.authenticate_session(
            host=host, source="untuned", prompt=False, update_session=False
        )
    except AuthenticationError as error:
        raise UserError(f"W&B key for {host}: {' '.join(str(error).split())}") from error
    return found is not None


def wandb_url(mode: str) -> str | None:
    """Where W&B must be reached, if runs are sent there."""
    if mode != "online":
        return None
    from wandb.sdk import wandb_setup

    return wandb_setup.singleton().settings.base_url
