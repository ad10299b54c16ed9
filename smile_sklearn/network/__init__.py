"""The network in torch: backbone, auxiliary families, clip and head."""

from smile_sklearn.network.architecture import Architecture, plan_architecture
from smile_sklearn.network.backbone import build_backbone, freeze_backbone
from smile_sklearn.network.convolutional import ConvolutionalAuxiliary
from smile_sklearn.network.families import build_auxiliary
from smile_sklearn.network.free import FreeAuxiliary
from smile_sklearn.network.smile import SMiLENetwork

__all__ = [
    "Architecture",
    "ConvolutionalAuxiliary",
    "FreeAuxiliary",
    "SMiLENetwork",
    "build_auxiliary",
    "build_backbone",
    "freeze_backbone",
    "plan_architecture",
]
