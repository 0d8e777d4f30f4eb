"""Sparse over-parameterization of label noise.

Liu, Zhu, Qu & You, "Robust training under label noise by over-parameterization", ICML 2022.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.memory import remember
from methods.objective import Batch, Objective, Outputs, PhaseInfo, generator, likeliest
from methods.scalar_loss import Bounded

SMALLEST = 1e-4  # of a corrected probability


class OverParameterization(Objective):
    """-sum_k y_k log q_k + |hard(p) + s - y|^2, q = p + s made a distribution again.

    s_i = u_i^2 y - v_i^2 (1 - y) stands for the noise of example i's label: u_i (one number) and
    v_i (K) begin near 0, and descend by plain steps of rates u_rate and v_rate, each on its term; v
    is held fixed in q, and p in the second term, which does not reach the model. u^2 and v^2 count
    as at most 1, the paper's bound: a step that leaps over it would otherwise grow without end. As
    in the authors' code, without the terms of SOP+. Memory: 4 (K + 1) bytes an example, 44 MB for a
    million of ten classes.
    """

    def __init__(self, u_rate: float = 10.0, v_rate: float = 10.0) -> None:
        super().__init__()
        self.u_rate = Bounded("u_rate", u_rate, 0.0, 1e3)
        self.v_rate = Bounded("v_rate", v_rate, 0.0, 1e3)

    def bind(self, info: PhaseInfo) -> None:
        noise = torch.randn(info.rows, info.classes + 1, generator=generator("over", info.rows))
        self.uv = nn.Buffer((1e-8 * noise).to(info.labels.device))

    def _terms(self, z: Tensor, y: Tensor, uv: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the model [B], and the distance [B] that moves s only."""
        plus = (uv[:, :1].square() * y).clamp_max(1)
        minus = (uv[:, 1:].square() * (1 - y)).clamp_max(1)
        q = F.normalize((z.softmax(dim=1) + plus - minus.detach()).clamp_min(SMALLEST), p=1)
        distance = (likeliest(z) + plus - minus - y).square().sum(dim=1)
        return -(y * q.clamp_min(SMALLEST).log()).sum(dim=1), distance

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        of_model, distance = self._terms(outputs.logits, batch.y, self.uv[batch.index].to(batch.y))
        return of_model + distance.detach()

    def after_step(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        with torch.enable_grad():
            uv = self.uv[batch.index].to(batch.y).requires_grad_()
            total = torch.stack(self._terms(outputs.logits, batch.y, uv)).sum() / len(losses)
            (slope,) = torch.autograd.grad(total, uv)
        rates = torch.full_like(slope, self.v_rate.value)
        rates[:, 0].fill_(self.u_rate.value)
        remember(self.uv, batch.index, (uv - rates * slope).detach())
