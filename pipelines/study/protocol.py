"""The protocol of a study: what makes two trials comparable."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipelines.documents import assign, digest
from pipelines.errors import UserError
from pipelines.metrics import METRICS
from pipelines.study.attack import Attack
from pipelines.study.augmentations import check_augment
from pipelines.study.column_rules import check_rules, rule_of
from pipelines.study.encoders import Encoder, check_encoder
from pipelines.study.label_corruption import Imbalance, Noise
from pipelines.study.labels_files import LabelsFile
from pipelines.study.precisions import Precision, not_float16
from pipelines.study.pretrained import check_pretrained
from pipelines.study.searches import check_aims, known_aim, known_search
from pipelines.study.validation import Strict, added, describe, identity, one_of

Normalisation = Literal["data", "imagenet", "none"]


def _known_encoding(name: str | None) -> str | None:
    try:
        codecs.lookup(name or "utf-8")
    except LookupError:
        raise ValueError("is no encoding that Python knows: utf-8, latin-1, cp1252, ...") from None
    return name


class Data(Strict):
    """Where examples and labels come from."""

    source: str = Field(
        default="digits", description="a built-in source, or package.module:function"
    )
    path: Path | None = Field(
        default=None, description="folder or file of the source; downloads go here"
    )
    labels: LabelsFile | None = None
    trusted: LabelsFile | None = Field(
        default=None,
        description="examples whose label was verified: meta, val and test come from these only",
    )
    corrections: LabelsFile | None = added(
        None, description="labels that somebody has verified, in the place of what was there before"
    )
    target: str = Field(default="label", description="label column of a table")
    size: int | None = Field(
        default=None, ge=1, description="side in pixels that folder images are resized to"
    )
    drop: tuple[str, ...] | None = added(
        None, description="columns of a table that are no features; [] keeps an index, too"
    )
    skip_broken: bool = added(
        False, description="leave out images that cannot be read, and record how many"
    )
    columns: Annotated[dict[str, Any] | None, AfterValidator(check_rules)] = added(
        None, description="of a table, what is done with each; none: all are numbers"
    )
    text: str = added("text", description="column of texts")
    split: str | None = added(
        None, description="column of a table that says which rows are train and which test"
    )
    names: str | None = added(
        None, description="column of a table that names the examples; none: their rows do"
    )
    encoder: Annotated[Encoder | None, AfterValidator(check_encoder)] = added(
        None, description="makes features of texts or images, once: words, module:function, ..."
    )
    encoding: Annotated[str | None, AfterValidator(_known_encoding)] = added(
        None, description="of a table in a text file; none: UTF-8, or what its first bytes say"
    )
    normalise: Normalisation = added(
        "data", description="inputs: by the data's own mean and deviation, ImageNet's, or not"
    )

    #: Their values decide nothing but what the data's content is, and that has a fingerprint.
    CONTENT: ClassVar = (
        *("path", "drop", "skip_broken", "columns", "text", "encoder", "encoding"),
        *("split", "names"),
    )

    def __hash__(self) -> int:  # `columns` has none of its own
        return hash(digest(self.model_dump(mode="json")))

    @property
    def encoders(self) -> list[Encoder]:
        """What makes features: of all inputs, or of columns of texts."""
        of_columns = [rule_of(rule).encoder for rule in (self.columns or {}).values()]
        return [encoder for encoder in (self.encoder, *of_columns) if encoder is not None]


class Splits(Strict):
    """Numbers of examples; what is left is the training split."""

    meta: int = Field(default=100, ge=1)
    val: int = Field(default=100, ge=0, description="0: nothing is selected")
    test: int | None = Field(default=None, ge=1, description="none: the source's own test set")
    val_labels: Literal["clean", "corrupted"] = "clean"
    meta_classes: Literal["as_is", "equal"] = added(
        "as_is", description="of meta: as frequent as in the source, or equally often"
    )
    unlabelled: int = added(
        0, ge=0, description="of the training split: hidden labels, for arms that use such examples"
    )

    @model_validator(mode="after")
    def _labels_of_nothing(self) -> Splits:
        if not self.val and self.val_labels == "corrupted":
            raise ValueError("val_labels = 'corrupted': val = 0 has no labels")
        return self


class Model(Strict):
    """A network by name, or package.module:factory, with its options."""

    name: str = "mlp"
    options: dict[str, Any] = Field(default_factory=dict)


class Schedule(Strict):
    """Optimizer and learning rate; every arm shares them unless its search space says otherwise."""

    epochs: int = Field(default=60, ge=1, le=1_000_000)
    batch_size: int = Field(default=100, ge=1, le=10_000_000)
    lr: float = Field(default=0.1, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=5e-4, ge=0)
    warmup_epochs: float = Field(default=0, ge=0)
    decay: Literal["constant", "cosine", "linear", "steps", "hypergradient"] = "cosine"
    milestones: list[float] = Field(
        default=[0.5, 0.75], description="of `steps`, as fractions of a phase"
    )
    factor: float = Field(
        default=0.1, gt=0, le=1, description="of `steps`: lr is multiplied by this"
    )
    clip: float | None = Field(default=None, gt=0, description="largest gradient norm")
    optimizer: str = added(
        "sgd", description="sgd, adamw, or module:class of a torch.optim.Optimizer"
    )
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = added(
        [0.9, 0.999], min_length=2, max_length=2, description="of adamw"
    )
    eps: float = added(1e-8, gt=0, description="of adamw")
    optimizer_options: dict[str, Any] = added(
        {}, description="of module:class: arguments of its constructor"
    )
    hypergradient_lr: float = added(
        1e-6, gt=0, description="of decay `hypergradient`: how fast lr learns"
    )
    steps: int | None = added(
        None, ge=1, le=1_000_000_000, description="length in training steps, in place of epochs"
    )
    restart_epochs: float | None = added(
        None, gt=0, description="of decay cosine: it begins anew after so many epochs"
    )
    no_decay: Literal["none", "norm_and_bias"] = added(
        "none", description="which parameters have no weight decay"
    )

    @field_validator("optimizer")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ("sgd", "adamw") and ":" not in name:
            raise ValueError("Input should be 'sgd', 'adamw' or module:class")
        return name

    @model_validator(mode="after")
    def _options_of_the_optimizer(self) -> Schedule:
        """An option of another optimizer would do nothing, and nobody would be told."""
        for name, of in (("nesterov", "sgd"), ("betas", "adamw"), ("eps", "adamw")):
            changed = getattr(self, name) != type(self).model_fields[name].get_default()
            if changed and self.optimizer != of:
                raise ValueError(f"{name} is an option of {of}, not of {self.optimizer}")
        if self.optimizer_options and ":" not in self.optimizer:
            raise ValueError(f"optimizer_options are of module:class, not of {self.optimizer}")
        if self.restart_epochs is not None and self.decay != "cosine":
            raise ValueError(f"restart_epochs is an option of decay cosine, not of {self.decay}")
        if self.decay == "hypergradient" and (self.optimizer != "sgd" or self.warmup_epochs):
            raise ValueError("decay hypergradient needs optimizer sgd, and no warmup_epochs")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        if self.steps is not None and self.epochs != type(self).model_fields["epochs"].default:
            raise ValueError(f"epochs = {self.epochs} and steps = {self.steps}: give one")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum > 0")
        if any(not 0 < m < 1 for m in self.milestones) or self.milestones != sorted(
            self.milestones
        ):
            raise ValueError(f"milestones {self.milestones} must rise and lie between 0 and 1")
        return self


class Protocol(Strict):
    """Everything that makes two trials comparable. Hashed into every key."""

    data: Data = Data()
    noise: Noise = Noise()
    imbalance: Imbalance = Imbalance()
    splits: Splits = Splits()
    augment: Annotated[str, AfterValidator(check_augment)] = "none"
    model: Model = Model()
    schedule: Schedule = Schedule()
    attack: Attack | None = added(None, description="none: inputs are as they are")
    metric: Annotated[str, one_of(METRICS)] = "accuracy"
    epoch: Literal["last", "selected"] = "last"
    search: Annotated[str, AfterValidator(known_search)] = "random"
    second_aim: Annotated[str | None, AfterValidator(known_aim)] = added(
        None, description="what a search goes by beside val: passes, or another metric on val"
    )
    precision: Annotated[Precision, BeforeValidator(not_float16)] = "float32"
    threads: int = Field(default=1, ge=1, le=1024)
    seed: int = Field(default=0, ge=0)

    @field_validator("metric")
    @classmethod
    def _can_be_measured(cls, metric: str, info: ValidationInfo) -> str:
        if METRICS[metric].attacked and info.data.get("attack", ...) is None:
            raise ValueError("is of attacked inputs: give the protocol an attack")
        return metric

    @field_validator("epoch")
    @classmethod
    def _can_be_selected(cls, epoch: str, info: ValidationInfo) -> str:
        splits = info.data.get("splits")
        if epoch == "selected" and splits is not None and not splits.val:
            raise ValueError("splits.val = 0 has no examples to select an epoch by; use last")
        return epoch

    @model_validator(mode="after")
    def _noise_on_answers(self) -> Protocol:
        labels = self.data.labels
        if labels is not None and labels.rule == "soft" and self.noise.kind != "none":
            raise ValueError(
                f"noise.kind = {self.noise.kind!r}: corrupts one label of an example, and with "
                "data.labels.rule = 'soft' it has all of its annotators'; use another rule"
            )
        return self

    @model_validator(mode="after")
    def _aims_of_the_search(self) -> Protocol:
        check_aims(self.search, self.metric, self.second_aim, attacked=self.attack is not None)
        return self

    @model_validator(mode="after")
    def _inputs_of_the_model(self) -> Protocol:
        check_pretrained(self)
        return self


def with_changes(protocol: Protocol, change: dict[str, Any]) -> Protocol:
    """A protocol with entries changed, by dotted address: {"noise.rate": 0.2}.

    Raises:
        UserError: there is no such entry, or the value is not allowed.
    """
    values = protocol.model_dump(mode="json")
    for address, value in change.items():
        try:
            assign(values, address, value)
        except KeyError:
            raise UserError(f"axes: the protocol has no entry {address!r}") from None
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        raise UserError(f"axes: {describe(error, Protocol)}") from None


def protocol_hash(protocol: Protocol, fingerprint: str) -> str:
    """Identity of a protocol: its values and the content of its data, wherever that is."""
    values = identity(protocol)
    for name in ("labels", "trusted", "corrections"):
        if part := values["data"].get(name):
            del part["file"]
    for name in Data.CONTENT:
        values["data"].pop(name, None)
    return digest([values, fingerprint])
