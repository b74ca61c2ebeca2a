"""Define colours for values in 0..1."""

from __future__ import annotations

from functools import lru_cache

import torch

from bmfgraph.nodes.map import Colors

__all__ = ["color_table"]

# Colours at 33 equal steps, rounded; between them the tables differ from the full ones by at most 2 levels.
_KNOTS: dict[Colors, str] = {
    "gray": "000000 ffffff",
    # Turbo: A. Mikhailov, Google, 2019; Apache-2.0.
    "turbo": (
        "30123b 392a73 4040a1 4456c7 466be3 467ff6 4293ff 37a7fa 29bbec 1dcdd8 18dcc3 1ee8b0 31f299 4cf97e 6bfd64 "
        "8aff4d a3fd3c b8f735 cced34 dee037 edd03a f8c03a fdae35 fe982c fb8022 f56817 ec520f e04009 d23105 c02302 "
        "ac1701 950d01 7a0403"
    ),
    # Viridis, magma, inferno: S. van der Walt, N. Smith, E. Firing for Matplotlib, 2015; CC0.
    "viridis": (
        "440154 470d60 48186a 482374 472d7b 453681 424086 3f4989 3b528b 375a8d 33638d 2f6a8e 2c728e 297a8e 26818e "
        "23898e 21908c 1f988b 1f9f88 21a685 28ae80 31b57b 3ebc74 4cc26c 5dc963 6ece58 82d34c 96d83f abdc32 c0df24 "
        "d5e21a eae51a fde725"
    ),
    "magma": (
        "000004 030311 0a0822 130d33 1d1146 28115a 36106a 430f76 50127c 5d177f 691c81 762181 822681 8f2a81 9c2e7f "
        "a9327d b63779 c33b75 cf4170 db486a e65163 ee5c5e f5695c f9785d fb8761 fd9668 fea571 feb47b fec387 fed194 "
        "fde0a2 fceeb0 fcfdbf"
    ),
    "inferno": (
        "000004 040312 0b0724 150b37 210c4a 2e0a5a 3c0965 4a0c6b 57106d 63146e 70196e 7d1e6d 89226a 962766 a32b61 "
        "af315c bb3755 c63e4d d14644 db4f3b e35932 eb6528 f1711e f67f14 f98d0a fb9c06 fcab0f fbba1f f9ca32 f5d949 "
        "f2e865 f3f586 fcffa4"
    ),
}


@lru_cache(maxsize=16)
def color_table(name: Colors, device: torch.device) -> torch.Tensor:
    """Return 256 colours from the lowest to the highest value, RGB levels as uint8 [256, 3]. Do not write into it."""
    knots = torch.tensor([list(bytes.fromhex(text)) for text in _KNOTS[name].split()], dtype=torch.float64)
    places = torch.linspace(0, len(knots) - 1, 256, dtype=torch.float64)
    low = places.floor().long().clamp(max=len(knots) - 2)
    table = torch.lerp(knots[low], knots[low + 1], (places - low)[:, None])
    return table.round().to(torch.uint8).to(device)
