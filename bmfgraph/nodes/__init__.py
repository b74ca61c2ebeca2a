"""The node kinds: what each is in YAML, and what it becomes in a plan. Nothing here runs frames."""
