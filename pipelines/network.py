"""A model as the training loop calls it: with its own parameters, at other ones, and in eval
mode."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from methods.objective import Outputs, seed_of
from pipelines.errors import UserError

EVALUATION_BATCH = 1024


class Network:
    """Wraps a plain nn.Module that maps x [B, ...] to logits.

    features: outputs carry the input of the model's last linear layer, [B, D].
    autocast: run the model under bfloat16; logits come back in float32.
    """

    def __init__(self, model: nn.Module, features: bool = False, autocast: bool = False) -> None:
        self.model, self.autocast = model, autocast
        self.device = next(model.parameters()).device
        self._captured: list[Tensor] = []
        self._features = features
        self._hook = (
            _last_linear(model).register_forward_pre_hook(self._capture) if features else None
        )

    def close(self) -> None:
        """Take the hook off the model again."""
        if self._hook is not None:
            self._hook.remove()

    def parameters(self) -> dict[str, Tensor]:
        """The trainable parameters by name: theta."""
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def __call__(self, x: Tensor) -> Outputs:
        """A training forward: BatchNorm's statistics move."""
        return self._outputs(lambda: self.model(x))

    def at(self, theta: Mapping[str, Tensor], x: Tensor) -> Outputs:
        """A training forward at other parameters; the model and its buffers stay as they are."""
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        return self._outputs(lambda: functional_call(self.model, {**theta, **buffers}, (x,)))

    def without_trace(self, x: Tensor) -> Outputs:
        """A differentiable training forward that leaves BatchNorm's statistics as they are."""
        return self.at(self.parameters(), x)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> Outputs:
        """Outputs in eval mode, in batches; x is already normalised."""
        self.model.eval()
        try:
            parts = [self(part) for part in x.split(EVALUATION_BATCH)]
        finally:
            self.model.train()
        features = (
            torch.cat([p.features for p in parts if p.features is not None])
            if self._features
            else None
        )
        return Outputs(torch.cat([p.logits for p in parts]), features)

    def reseed(self, *key: int | str) -> None:
        """Dropout and the like draw from this key at the next forward."""
        seed = seed_of(*key)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)

    def _outputs(self, call) -> Outputs:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            logits = call()
        features = self._captured.pop() if self._features else None
        return Outputs(logits.float() if self.autocast else logits, features)

    def _capture(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._captured[:] = [inputs[0]]


def _last_linear(model: nn.Module) -> nn.Linear:
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise UserError(f"model {type(model).__name__} has no linear layer to take features from")
    return layers[-1]
