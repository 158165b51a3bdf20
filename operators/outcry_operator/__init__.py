"""Outcry's Kubernetes operator: how many pods each workload has, and how far a new revision may go."""

__version__ = "0.1.0"
