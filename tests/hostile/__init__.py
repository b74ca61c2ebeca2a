"""Hostile and unlucky input: configurations, models, caches, sources, signals, full disks."""
