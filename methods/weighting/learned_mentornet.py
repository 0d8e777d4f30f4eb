"""MentorNet, learned from examples of which it is known whether their label is right.

Jiang et al., "MentorNet: learning data-driven curriculum for very deep neural networks on corrupted
labels", ICML 2018.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.memory import remember
from methods.objective import Batch, ModelCall, Outputs, PhaseInfo, PreviousPhase, cross_entropy
from methods.scalar_loss import Bounded
from methods.weighting.mentornet import FIRST, PredefinedMentorNet

TIMES = 20  # parts of a phase, of each of which one loss is kept
HIDDEN, STEPS, RATE, DECAY = 20, 500, 1e-2, 1e-3  # of the mentor, which is fitted by Adam


class RecordedStudent(PredefinedMentorNet):
    """Cross-entropy; a share of the trusted examples has a wrong label, and their losses are kept.

    rate: that share. Wrong labels are uniform over the other classes, drawn once. Of each trusted
    example the last loss of each twentieth of the phase is kept, with its distance to the running
    quantile of the batches. Memory: 169 bytes an example.
    """

    def __init__(self, rate: float = 0.4, quantile: float = 0.7, decay: float = 0.5) -> None:
        super().__init__(quantile, decay)
        self.rate = Bounded("rate", rate, 0.0, 1.0)

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        device, rows, classes = info.labels.device, info.rows, info.classes
        wrong = torch.rand(rows) < self.rate.value
        other = torch.randint(1, classes, (rows,)) * wrong
        self.wrong = nn.Buffer(wrong.to(device))
        self.given = nn.Buffer((info.labels.clamp_min(0) + other.to(device)) % classes)
        self.seen = nn.Buffer(torch.full((rows, TIMES, 2), -1.0, device=device))  # a loss is none

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        given = torch.zeros_like(batch.y).scatter(1, self.given[batch.index][:, None], 1.0)
        return replace(batch, y=torch.where(batch.trusted[:, None], given, batch.y))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)

    def after_step(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        now = torch.stack([losses, losses - self._next(losses)], dim=1)[:, None]
        here = torch.arange(TIMES, device=losses.device) == (batch.progress * TIMES).long()
        told = (here & batch.trusted[:, None])[:, :, None]
        before = self.seen[batch.index]
        remember(self.seen, batch.index, torch.where(told, now.to(before), before))
        super().after_step(outputs, losses, batch)


class LearnedMentorNet(PredefinedMentorNet):
    """v(l, d, t) CE: v a network's probability that a label with that loss, at that time, is right.

    l the loss, d what it has above the running quantile of the batches, t the progress; v has 20
    tanh units and is fitted by the logistic loss to what the phase before has kept of its trusted
    examples, `RecordedStudent`; then it is fixed. v = 1 in the first 19 % of the phase, as for
    `PredefinedMentorNet`, and without a phase before. Weights have no gradient.
    """

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        device = info.labels.device
        self.mentor = nn.Sequential(nn.Linear(3, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
        self.mentor.to(device).requires_grad_(False)
        self.shift = nn.Buffer(torch.zeros(3, device=device))
        self.scale = nn.Buffer(torch.ones(3, device=device))
        self.fitted = nn.Buffer(torch.zeros((), dtype=torch.bool, device=device))

    def inherit(self, previous: PreviousPhase) -> None:
        student = previous.objective
        if not isinstance(student, RecordedStudent):
            raise ValueError("it learns from what a RecordedStudent has kept in the phase before")
        seen, wrong = student.seen, student.wrong
        row, time = (seen[:, :, 0] >= 0).nonzero(as_tuple=True)
        if not len(row):
            return
        x = torch.cat([seen[row, time], (time[:, None] + 0.5) / TIMES], dim=1)
        self.shift.copy_(x.mean(dim=0))
        self.scale.copy_(x.std(dim=0, correction=0).clamp_min(1e-6))
        self._fit((x - self.shift) / self.scale, 1 - wrong[row].to(x))
        self.fitted.fill_(True)

    def _fit(self, x: Tensor, right: Tensor) -> None:
        self.mentor.requires_grad_(True)
        optimizer = torch.optim.Adam(self.mentor.parameters(), RATE, weight_decay=DECAY)
        with torch.enable_grad():
            for _ in range(STEPS):
                optimizer.zero_grad()
                logits = self.mentor(x).squeeze(1)
                F.binary_cross_entropy_with_logits(logits, right).backward()
                optimizer.step()
        self.mentor.requires_grad_(False)

    def weights(self, losses: Tensor, progress: Tensor) -> Tensor:
        """v [B] of losses [B] at a progress."""
        above = losses - self._next(losses)
        x = torch.stack([losses, above, progress.to(losses).expand_as(losses)], dim=1)
        v = self.mentor((x - self.shift) / self.scale).squeeze(1).sigmoid()
        return torch.where(self.fitted & (progress >= FIRST), v, 1.0)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        losses = cross_entropy(outputs.logits, batch.y)
        return self.weights(losses.detach(), batch.progress) * losses
