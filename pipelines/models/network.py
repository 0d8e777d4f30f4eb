"""A model as the training loop calls it: at its own parameters, at others, and in eval mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call

from methods.objective import Key, Outputs, seed_of
from pipelines.errors import UserError


@contextmanager
def same_random_state(device: torch.device):
    """Whatever draws random numbers inside leaves no trace outside."""
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, device)


EVALUATION_BATCH = 1024


class Network:
    """Wraps a plain nn.Module that maps x [B, ...] to logits.

    features: outputs carry the input of the model's last linear layer, [B, D].
    autocast: run the model under bfloat16; logits come back in float32.
    channels_last: keep convolutions' weights and their inputs in that order of memory, in which
    they run faster on CPUs and on tensor cores. Results are the same to rounding.
    """

    def __init__(
        self,
        model: nn.Module,
        features: bool = False,
        autocast: bool = False,
        channels_last: bool = True,
    ) -> None:
        self.model, self.autocast = model, autocast
        self.channels_last = channels_last and any(
            isinstance(module, nn.Conv2d) for module in model.modules()
        )
        if self.channels_last:
            model.to(memory_format=torch.channels_last)
        self.device = next(model.parameters()).device
        # functional_call looks for tied weights at every call, which costs as much as a small model
        self._tied = len(list(model.parameters())) < len(
            list(model.named_parameters(remove_duplicate=False))
        )
        self._constants = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
        self._captured: list[Tensor] = []
        #: The step that is being taken, for `reseed`.
        self.step_key: Key = ()
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

    def last_parameters(self, layers: int) -> dict[str, Tensor]:
        """Those of the last `layers` layers, in the order in which the model defines them.

        Raises:
            UserError: the model has fewer.
        """
        theta = self.parameters()
        names = list(dict.fromkeys(name.rpartition(".")[0] for name in theta))
        if layers > len(names):
            raise UserError(f"meta.last_layers = {layers}: the model has {len(names)} layers")
        last = set(names[-layers:])
        return {n: p for n, p in theta.items() if n.rpartition(".")[0] in last}

    def __call__(self, x: Tensor) -> Outputs:
        """A training forward: BatchNorm's statistics move."""
        return self._outputs(self.model, x)

    def forward_with(self, theta: Mapping[str, Tensor], x: Tensor) -> Outputs:
        """A training forward at other parameters; the model and its buffers stay as they are.

        Parameters that are not in theta are constants of it.

        Raises:
            UserError: the model is one that cannot be called at other parameters.
        """
        if isinstance(self.model, torch.jit.ScriptModule):
            raise UserError(
                "a TorchScript module cannot be called at other parameters, which this method "
                "does: give the module that was scripted"
            )
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        values = self._constants | buffers | dict(theta)
        return self._outputs(
            lambda inputs: functional_call(self.model, values, (inputs,), tie_weights=self._tied), x
        )

    def without_buffer_updates(self, x: Tensor) -> Outputs:
        """A differentiable training forward that leaves BatchNorm's statistics as they are."""
        return self.forward_with(self.parameters(), x)

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Tensor]) -> Outputs:
        """Outputs in eval mode of batches of normalised inputs, one after the other."""
        self.model.eval()
        try:
            parts = [self(x) for x in batches]
        finally:
            self.model.train()
        features = (
            torch.cat([p.features for p in parts if p.features is not None])
            if self._features
            else None
        )
        return Outputs(torch.cat([p.logits for p in parts]), features)

    def reseed(self, purpose: str) -> None:
        """Dropout and the like draw from this step's key and purpose at the next forward."""
        seed = seed_of(*self.step_key, purpose)
        torch.default_generator.manual_seed(seed)
        # While a step is recorded, nothing draws on the GPU, nor may it be seeded.
        if self.device.type == "cuda" and not torch.cuda.is_current_stream_capturing():
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)

    def _outputs(self, model: Callable[[Tensor], object], x: Tensor) -> Outputs:
        if self.channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext():
            logits = logits_of(model(x))
        features = self._captured.pop() if self._features else None
        return Outputs(logits.float() if self.autocast else logits, features)

    def _capture(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._captured[:] = [inputs[0]]


def logits_of(output: object) -> Tensor:
    """The logits [B, K] in what a model gives.

    That is a tensor; or a group of them, whose `logits` or first part they are. Further heads
    (GoogLeNet's and Inception's, which they have while training) are left out.

    Raises:
        UserError: there are none.
    """
    logits = output
    if isinstance(output, Mapping):
        logits = output.get("logits", next(iter(output.values()), None))
    elif not isinstance(output, Tensor) and hasattr(output, "logits"):
        logits = getattr(output, "logits")  # noqa: B009  # pyright does not know of it
    elif isinstance(output, Sequence) and output:
        logits = output[0]
    if not isinstance(logits, Tensor):
        raise UserError(
            f"the model gives {type(output).__name__}: must be logits, or a group of tensors "
            "whose `logits` or first part they are"
        )
    return logits


def feature_width(model: nn.Module) -> int:
    """D of the model's features, the input of its last linear layer.

    Raises:
        UserError: it has no such layer.
    """
    return _last_linear(model).in_features


def _last_linear(model: nn.Module) -> nn.Linear:
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise UserError(f"model {type(model).__name__} has no linear layer to take features from")
    return layers[-1]
