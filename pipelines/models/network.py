"""A model as the training loop calls it: at its own parameters, at others, and in eval mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from methods.objective import Key, Outputs, seed_of
from pipelines.errors import UserError
from pipelines.models.heads import last_linear, logits_of, members_of
from pipelines.models.spread import is_spread, spread_call


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

    An Ensemble gives the outputs of its first network, with those of the second in `other`.
    features: outputs carry the input of the model's last linear layer, [B, D].
    autocast: run the model under bfloat16; logits come back in float32.
    channels_last: keep convolutions' weights and their inputs in that order of memory, in which
    they run faster on CPUs and on tensor cores. Results are the same to rounding.
    spread: where several processes compute a trial, each calls the model on rows of its own.
    """

    def __init__(
        self,
        model: nn.Module,
        features: bool = False,
        autocast: bool = False,
        channels_last: bool = True,
        spread: bool = False,
    ) -> None:
        self.model, self.autocast = model, autocast
        self.spread, self._proven = spread and is_spread(), False
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
        self._captured: dict[int, Tensor] = {}  # features, by network
        #: The step that is being taken, for `reseed`.
        self.step_key: Key = ()
        self._features = features
        self._networks = len(members_of(model))
        self._hooks = [
            last_linear(member).register_forward_pre_hook(partial(self._capture, number))
            for number, member in enumerate(members_of(model))
            if features
        ]

    def close(self) -> None:
        """Take the hooks off the model again."""
        for hook in self._hooks:
            hook.remove()

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
        last: set[str] = set()
        for number in range(self._networks):
            own = [n for n in names if self._networks == 1 or n.startswith(f"members.{number}.")]
            if layers > len(own):
                raise UserError(f"meta.last_layers = {layers}: the model has {len(own)} layers")
            last |= {*own[-layers:]}
        return {n: p for n, p in theta.items() if n.rpartition(".")[0] in last}

    def __call__(self, x: Tensor) -> Outputs:
        """A training forward: BatchNorm's statistics move.

        Raises:
            UserError: of a batch that is spread: the model gives other outputs than of a whole one.
        """
        if not self.spread:
            return self.outputs_of(self._tensors(self.model, x))
        if self.model.training and not self._proven:
            self._prove(x)
        return self.outputs_of(spread_call(partial(self._tensors_at, {}), self.parameters(), x))

    def forward_with(self, theta: Mapping[str, Tensor], x: Tensor) -> Outputs:
        """A training forward at other parameters; the model and its buffers stay as they are.

        Parameters that are not in theta are constants of it.

        Raises:
            UserError: the model is one that cannot be called at other parameters.
        """
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        call = partial(self._tensors_at, self._constants | buffers)
        return self.outputs_of(spread_call(call, theta, x) if self.spread else call(theta, x))

    def without_buffer_updates(self, x: Tensor) -> Outputs:
        """A differentiable training forward that leaves BatchNorm's statistics as they are.

        With the dropout masks of this step's own forward.
        """
        self.reseed("forward")
        return self.forward_with(self.parameters(), x)

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Tensor]) -> Outputs:
        """Outputs in eval mode of batches of normalised inputs, one after the other."""
        self.model.eval()
        try:
            parts = [tensors_of(self(x)) for x in batches]
        finally:
            self.model.train()
        return self.outputs_of([torch.cat(tensors) for tensors in zip(*parts, strict=True)])

    def outputs_of(self, tensors: Sequence[Tensor]) -> Outputs:
        """Outputs from their tensors, in the order of `tensors_of`."""
        outputs, each = None, len(tensors) // self._networks
        for start in reversed(range(0, len(tensors), each)):
            logits, features = tensors[start], tensors[start + 1] if each == 2 else None
            outputs = Outputs(logits, features, outputs)
        assert outputs is not None
        return outputs

    def reseed(self, purpose: str) -> None:
        """Dropout and the like draw from this step's key and purpose at the next forward."""
        seed = seed_of(*self.step_key, purpose)
        torch.default_generator.manual_seed(seed)
        # While a step is recorded, nothing draws on the GPU, nor may it be seeded.
        if self.device.type == "cuda" and not torch.cuda.is_current_stream_capturing():
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)

    def _tensors_at(
        self, rest: Mapping[str, Tensor], theta: Mapping[str, Tensor], x: Tensor
    ) -> list[Tensor]:
        """The outputs at theta; rest: what else is not as the model has it."""
        if isinstance(self.model, torch.jit.ScriptModule):
            raise UserError(
                "a TorchScript module cannot be called at other parameters, which this method "
                "does: give the module that was scripted"
            )
        values = {**rest, **theta}
        return self._tensors(
            lambda inputs: functional_call(self.model, values, (inputs,), tie_weights=self._tied), x
        )

    def _tensors(self, model: Callable[[Tensor], object], x: Tensor) -> list[Tensor]:
        """What the model gives, in the order of `tensors_of`."""
        if self.channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16) if self.autocast else nullcontext():
            logits = logits_of(model(x))
        logits = logits.float() if self.autocast else logits
        each = logits.unbind(1) if self._networks > 1 else [logits]
        features = [[self._captured.pop(n)] if self._features else [] for n in range(len(each))]
        return [t for z, h in zip(each, features, strict=True) for t in (z, *h)]

    def _prove(self, x: Tensor) -> None:
        """Does the model give of a batch that is spread what it gives of a whole one?

        Outputs and gradients are compared, once, at the first batch.

        Raises:
            UserError: it does not, as where a layer of its own looks across the batch.
        """
        self._proven = True
        whole, spread = (self._outputs_and_slopes(x, how) for how in (False, True))
        rounded = self.autocast or torch.backends.cuda.matmul.allow_tf32
        tolerance = 0.1 if rounded else 1e-3
        for one, other in zip(whole, spread, strict=True):
            if (one - other).norm() > tolerance * one.norm() + 1e-6:
                raise UserError(
                    f"model {type(self.model).__name__}: gives other outputs or gradients where "
                    "its batches are spread over processes; use --gpus-per-trial 1"
                )

    def _outputs_and_slopes(self, x: Tensor, spread: bool) -> list[Tensor]:
        """Outputs of a training forward, and the gradient of their squares in all parameters."""
        theta = {name: p.detach().requires_grad_() for name, p in self.parameters().items()}
        asked, self.spread = self.spread, spread
        try:
            with same_random_state(self.device), torch.enable_grad():
                outputs = tensors_of(self.forward_with(theta, x.detach()))
                loss = torch.stack([t.float().square().mean() for t in outputs]).sum()
            slopes = torch.autograd.grad(loss, [*theta.values()], materialize_grads=True)
        finally:
            self.spread = asked
        return [t.detach().flatten() for t in (*outputs, torch.cat([s.flatten() for s in slopes]))]

    def _capture(self, number: int, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._captured[number] = inputs[0]


def tensors_of(outputs: Outputs) -> tuple[Tensor, ...]:
    """Logits, and features where there are any, of the one network or of each."""
    own = tuple(t for t in (outputs.logits, outputs.features) if t is not None)
    return own if outputs.other is None else own + tensors_of(outputs.other)
