"""TRAINING: pretrain, train, posttrain; a method is a choice of strategies for the three."""

from smile_sklearn.training.methods import make_method

__all__ = ["make_method"]
