"""Turn files and overrides into a checked job."""
