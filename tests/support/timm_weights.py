"""Weights of a small network of timm, where timm looks for them: nothing is downloaded."""

import pytest
import timm
from safetensors.torch import save_file

NAME = "test_resnet.r160_in1k"  # 470,000 parameters; timm has it for tests


def network():
    """The network with weights of its own, also in its norms."""
    drawn = timm.create_model(NAME).eval()
    for module in drawn.modules():
        if hasattr(module, "running_var"):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return drawn


def as_downloaded(drawn, folder, monkeypatch: pytest.MonkeyPatch):
    """As the hub's client keeps what it has downloaded; and it may not ask the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = folder / f"models--timm--{NAME}"
    kept = repository / "snapshots" / ("0" * 40)
    kept.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(drawn.state_dict(), kept / "model.safetensors")


def in_a_folder(drawn, folder):
    """As timm saves a network of one's own; its name in a study."""
    colours = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.25, 0.125]}
    timm.models.save_for_hf(drawn, folder, safe_serialization=True, data_config=colours)
    return f"local-dir:{folder}"
