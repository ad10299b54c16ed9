"""TRAINING: pretrain, train, posttrain; a method is a choice of strategies for the three."""

from smile_sklearn.training.local_loss import LocalTraining
from smile_sklearn.training.losses import MarginLoss
from smile_sklearn.training.methods import make_method
from smile_sklearn.training.paper_method import PaperMethod
from smile_sklearn.training.smile_method import SMiLEMethod

__all__ = ["LocalTraining", "MarginLoss", "PaperMethod", "SMiLEMethod", "make_method"]
