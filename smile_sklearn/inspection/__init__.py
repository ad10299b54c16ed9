"""INSPECTION: what a fitted model is made of."""

from smile_sklearn.inspection.backbone import BackboneImportance, backbone_importance, without_backbone

__all__ = ["BackboneImportance", "backbone_importance", "without_backbone"]
