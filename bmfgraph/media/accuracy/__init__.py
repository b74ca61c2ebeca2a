"""Compare the results of models with ground truth: boxes, masks, keypoints, classes, label maps and text.

``records`` reads the files, with ``csv_table`` and ``coco`` for those forms; ``items`` has what they hold. ``joining``
pairs their frames, ``matching`` has the average precision that boxes, masks and keypoints share, and each of the other
modules has the metrics of one task.
"""

from bmfgraph.media.accuracy.comparing import compare, contents

__all__ = ["compare", "contents"]
