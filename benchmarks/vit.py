"""A ViT-tiny for 32 x 32 images, for benchmarks of speed."""

from torch import nn
from torchvision.models import VisionTransformer


def vit_tiny(input_shape: tuple[int, ...], classes: int, layers: int = 12) -> nn.Module:
    """ViT-Ti of Touvron et al. (ICML 2021): 192 wide, 3 heads, 5.4 M parameters; patches of 4."""
    return VisionTransformer(
        image_size=input_shape[-1],
        patch_size=4,
        num_layers=layers,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
        num_classes=classes,
    )
