"""What makes features of texts or images: encoders by the names that a study gives them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import file_digest
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines import own_modules
from pipelines.errors import UserError, one_line
from pipelines.provenance import module_digest
from pipelines.study.encoders import WORDS, Encoder
from pipelines.study.own_folders import LOCAL, as_loaded

Encode = Callable[[Any], Any]
"""Texts, a list of n; or n images [n, C, H, W] or rows [n, D] as they are stored -> [n, F]."""

HASHED, FEATURES = 2**18, 1024  # of words and pairs of words; and what these are projected to
TOKENS = 128  # of a text, the longest that is looked at
EXTRAS = {"sentence_transformers": "sentence-transformers", "timm": "timm"}


def encoder_named(encoder: Encoder, shape: tuple[int, ...]) -> Encode:
    """The encoder that a study names, for inputs of that shape, () of a text.

    Raises:
        UserError: its package is missing, it has no such model, or it is for other inputs.
    """
    if encoder == WORDS:
        _check_for("texts", encoder, shape == ())
        return _words()
    if isinstance(encoder, str):
        return own_modules.load(encoder, "encoder")
    [(library, name)] = encoder.items()
    texts = library in ("sentence_transformers", "transformers")
    _check_for("texts" if texts else "images", encoder, shape == () if texts else len(shape) == 3)
    try:
        return LOADERS[library](as_loaded(library, name))
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise UserError(
            f"encoder: {library} is not installed: pip install {EXTRAS[library]}"
        ) from None
    except UserError:
        raise
    except Exception as error:  # no such model, or none can be downloaded
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise UserError(f"encoder {encoder}: cannot be loaded: {reason}") from None


def version_of(encoder: Encoder) -> list[Any]:
    """What features of the same inputs depend on, as plain values."""
    if encoder == WORDS:
        return [encoder, 1]
    if isinstance(encoder, str):
        return [encoder, module_digest(encoder.partition(":")[0])]
    [(library, name)] = encoder.items()
    folder = Path(as_loaded(library, name).removeprefix(LOCAL))
    files = [f for f in sorted(folder.rglob("*")) if f.is_file()] if folder.is_dir() else []
    contents = [[file.relative_to(folder).as_posix(), _content(file)] for file in files]
    try:
        return [encoder, version(EXTRAS.get(library, library)), contents]
    except ModuleNotFoundError:  # which the encoder itself tells
        return [encoder]


def _content(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()


def _check_for(what: str, encoder: Encoder, fits: bool) -> None:
    if not fits:
        raise UserError(f"encoder {encoder!r}: is for {what}, which the source has none of")


def _words() -> Encode:
    """Words and pairs of words, hashed, with length 1, and projected at random, always alike.

    Nothing is learned of the texts, so that none of a test set can leak.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.random_projection import SparseRandomProjection

    hashed = HashingVectorizer(n_features=HASHED, ngram_range=(1, 2), strip_accents="unicode")
    projected: Any = SparseRandomProjection(dense_output=True, random_state=0)
    projected.set_params(n_components=FEATURES)
    projected.fit(csr_matrix((1, HASHED)))
    return lambda texts: projected.transform(hashed.transform(texts))


def _sentences(name: str) -> Encode:
    model = import_module("sentence_transformers").SentenceTransformer(name, device="cpu")
    return lambda texts: model.encode(list(texts), show_progress_bar=False)


def _torchvision(name: str) -> Encode:
    from torchvision.models import get_model, get_model_weights

    weights = get_model_weights(name).DEFAULT  # pyright: ignore[reportAttributeAccessIssue]
    model, transform = get_model(name, weights=weights), weights.transforms()
    return _of_images(features_before_the_head(model), transform)


def _timm(name: str) -> Encode:
    timm = import_module("timm")
    model = timm.create_model(name, pretrained=True, num_classes=0)
    config = timm.data.resolve_model_data_config(model)
    resized = timm.data.create_transform(**config, is_training=False, normalize=False)
    mean, std = (torch.tensor(config[part]).view(-1, 1, 1) for part in ("mean", "std"))
    return _of_images(model, lambda images: (resized(images) / 255 - mean) / std)


def _tokens(name: str) -> Encode:
    """Numbers of a text's first tokens, from 1; 0 behind its end."""
    tokenizer = import_module("transformers").AutoTokenizer.from_pretrained(name)

    def tokens(texts: list[str]) -> NDArray[np.float32]:
        rows = tokenizer(texts, truncation=True, max_length=TOKENS)["input_ids"]
        numbers = np.zeros((len(rows), TOKENS), np.float32)
        for place, row in enumerate(rows):
            numbers[place, : len(row)] = np.array(row) + 1
        return numbers

    return tokens


LOADERS: dict[str, Callable[[str], Encode]] = {
    "sentence_transformers": _sentences,
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _tokens,
}


def features_before_the_head(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """What the last linear layer of a model is given."""
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    given: list[Tensor] = []
    head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))

    def features(x: Tensor) -> Tensor:
        model.eval()
        model(x)
        return given.pop().flatten(1)

    return features


def _of_images(model: Callable[[Tensor], Tensor], transform: Callable[[Tensor], Tensor]) -> Encode:
    """An encoder of bytes [n, C, H, W], grey ones as three equal colours."""
    if isinstance(model, nn.Module):
        model.eval()

    @torch.no_grad()
    def encode(images: NDArray[np.uint8]) -> Tensor:
        x = torch.from_numpy(images)
        return model(transform(x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x))

    return encode


def as_features(encoder: Encoder, given: Any, n: int) -> NDArray[np.float32]:
    """What an encoder gave for n inputs as features [n, F].

    Raises:
        UserError: it is no array of finite numbers with a row for each.
    """
    if isinstance(given, Tensor):
        given = given.detach().cpu()
    try:
        features = np.asarray(given, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"encoder {encoder!r}: gives no numbers: {one_line(error)}") from None
    if features.ndim != 2 or len(features) != n or not np.isfinite(features).all():
        what = f"gives {list(features.shape)} for {n} inputs"
        if features.ndim == 2 and len(features) == n:
            what = "gives numbers that are not finite"
        raise UserError(f"encoder {encoder!r}: {what}, a row of numbers for each is needed")
    return features
