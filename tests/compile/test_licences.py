from __future__ import annotations

import pytest

from bmfgraph.compile.licences import denies

ULTRALYTICS = "AGPL-3.0 License (https://ultralytics.com/license)"


@pytest.mark.parametrize(
    ("denied", "licence", "expected"),
    [
        ("AGPL-3.0", ULTRALYTICS, True),
        ("agpl-3.0", "AGPL-3.0-only", True),
        ("AGPL-3.0", "AGPL-3.0-or-later", True),
        ("AGPL-3.0", "AGPLv3", True),
        ("AGPL-3.0", "MIT OR agpl 3.0", True),
        ("AGPL-3.0-only", "AGPL-3.0", True),
        ("AGPL-3.0-only", "AGPL-3.0-or-later", False),
        ("Apache-2.0", "Apache License, Version 2.0", True),
        ("Apache-2.0", "Apache-2.1", False),
        ("GPL-3.0", ULTRALYTICS, False),
        ("GPL-3.0", "LGPL-3.0-only", False),
        ("GPL-2.0", "GPL-2.0+", True),
        ("MIT", "MIT", True),
        ("MIT", "MIT-0", False),
        ("MIT", "permitted", False),
        ("BSD-3-Clause", "BSD-3-Clause", True),
        ("BSD-3-Clause", "BSD-2-Clause", False),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0", True),
        ("CC-BY-4.0", "CC-BY-NC-4.0", False),
    ],
)
def test_texts_of_licences(denied: str, licence: str, expected: bool) -> None:
    assert denies(denied, licence) is expected
