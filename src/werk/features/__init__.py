"""Features as they were known at a cutoff, the same for training and for serving."""

from werk.features.join import Features, Tables
from werk.features.views import FeatureView, Window

__all__ = ["FeatureView", "Features", "Tables", "Window"]
