"""Complete a model's config by what its preset, its file, and the files beside it say.

``ultralytics``, ``paddle`` and ``huggingface`` read what exporters note; ``completion`` joins it with the config.
"""

from bmfgraph.nodes.facts.completion import CompletedModel, complete
from bmfgraph.nodes.facts.facts import FactError

__all__ = ["CompletedModel", "FactError", "complete"]
