"""Bounds of f around given rows, for the local rule of ``predict_with_certificate``."""
