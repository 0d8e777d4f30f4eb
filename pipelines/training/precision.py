"""What a protocol's `precision` means to torch, where it is a setting of the whole process."""

import torch


def set_precision(precision: str) -> None:
    """Let products of float32 be rounded to TF32 on a GPU, or not.

    precision: of the protocol. Torch's own default rounds those of convolutions alone, so that
    "float32" would be another thing by layer: TF32 keeps 10 bits of a factor.
    """
    rounded = precision == "tfloat32"
    torch.backends.cudnn.allow_tf32 = rounded
    torch.backends.cuda.matmul.allow_tf32 = rounded
