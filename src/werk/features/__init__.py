"""Features as they were known at a cutoff, the same for training and for serving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werk.core.lazy import fetched

if TYPE_CHECKING:
    from werk.features.join import Features, Tables
    from werk.features.views import FeatureView, Window

__all__ = ["FeatureView", "Features", "Tables", "Window"]

fetched(__name__, {"join": ("Features", "Tables"), "views": ("FeatureView", "Window")})
