"""What a protocol says that is a setting of the whole process: threads and precision."""

import torch
from threadpoolctl import threadpool_limits

from pipelines.study.protocol import Protocol


def set_up_process(protocol: Protocol) -> None:
    """Compute with the protocol's number of threads, and in its precision.

    The number is torch's, and that of the BLAS and OpenMP which numpy, scipy and scikit-learn have
    loaded by now: sums depend on it, and a machine has as many threads as cores, a worker of Ray's
    one.
    """
    torch.set_num_threads(protocol.threads)
    threadpool_limits(protocol.threads)
    set_precision(protocol.precision)


def set_precision(precision: str) -> None:
    """Let products of float32 be rounded to TF32 on a GPU, or not.

    precision: of the protocol. Torch's own default rounds those of convolutions alone, so that
    "float32" would be another thing by layer: TF32 keeps 10 bits of a factor.
    """
    rounded = precision == "tfloat32"
    torch.backends.cudnn.allow_tf32 = rounded
    torch.backends.cuda.matmul.allow_tf32 = rounded
