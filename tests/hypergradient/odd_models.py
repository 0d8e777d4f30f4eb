"""Models that a self-check might misjudge: unusual ones, and ones with a wrong rule."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.spare, self.linear = nn.Linear(2, 2), nn.Linear(6, 3)

    def forward(self, x):
        return self.linear(x)


class Float32Norm(nn.LayerNorm):
    """As in CLIP and Whisper."""

    def forward(self, x):
        return super().forward(x.float()).type(x.dtype)


class Float32Matrix(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.matrix = nn.Linear(6, 3), torch.eye(3)

    def forward(self, x):
        return self.linear(x) @ self.matrix


class Quietly32(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x):
        return self.linear(x).float().tanh().to(x.dtype)


class Follows(nn.Module):
    """A buffer that the forward uses, and moves."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.mean = nn.Buffer(torch.zeros(6))

    def forward(self, x):
        self.mean = 0.5 * self.mean + 0.5 * x.detach().mean(0)
        return self.linear(x - self.mean)


class StraightThrough(nn.Module):
    """Rounds, and lets the gradient pass; the code book is not reached."""

    def __init__(self):
        super().__init__()
        self.linear, self.book = nn.Linear(6, 3), nn.Linear(3, 3)

    def forward(self, x):
        h = self.linear(x)
        return h + (self.book(h) - h).detach()


def one_feature():
    """What is normalised over itself is exactly 0, where PReLU's modes take different branches."""
    return nn.Sequential(nn.Linear(6, 1), nn.LayerNorm(1), nn.PReLU(), nn.Linear(1, 3))


def checkpointed_rightly():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.head = nn.Sequential(nn.Linear(6, 6), nn.Tanh()), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(checkpoint(self.block, x, use_reentrant=False))

    return Checkpointed()


def zero(module):
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def below_zero():
    norm = nn.BatchNorm1d(5)
    nn.init.constant_(norm.bias, -100)
    return norm


class Off(torch.autograd.Function):
    """Looks like the identity, with a forward-mode rule that is off by a factor."""

    factor = 2.0

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *grads):
        return grads[0]

    @classmethod
    def jvp(cls, ctx, *tangents):
        return Off.factor * tangents[0]


class WrongRule(nn.Module):
    def forward(self, x):
        return Off.apply(x)


class Untaught(torch.autograd.Function):
    """Has no forward-mode rule."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, *grads):
        return grads[0]


class NoTangent(nn.Module):
    def forward(self, x):
        return Untaught.apply(x)


class Reentrant(nn.Module):
    """Its gradient passes the block by, or cannot be taken."""

    def __init__(self, first):
        super().__init__()
        self.stem = nn.Identity() if first else nn.Linear(6, 6)
        self.block, self.head = nn.Sequential(nn.Linear(6, 6), nn.Tanh()), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(checkpoint(self.block, self.stem(x), use_reentrant=True))


class Hoards(nn.Module):
    """Holds its weight in a list, where no other can be put."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.all = [self.linear.weight]

    def forward(self, x):
        return functional.linear(x, self.all[0], self.linear.bias)


class DrawsFrom(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.linear, self.draw = nn.Linear(6, 3), draw

    def forward(self, x):
        return self.linear(x) * self.draw()


class PassesBy(nn.Module):
    """A hook makes the gradient another than that of the outputs."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        h = self.one(x)
        if h.requires_grad:
            h.register_hook(lambda grad: 3 * grad)
        return self.two(h)


class Detached(nn.Module):
    def forward(self, x):
        return x.detach()
