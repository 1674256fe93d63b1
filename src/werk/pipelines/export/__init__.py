"""A project in formats that others read: Delta, native models in MLflow's layout, JSON lines, and a chain anybody can check."""

from werk.pipelines.export.take import Exported, export

__all__ = ["Exported", "export"]
