"""A third-party adapter for werk."""
