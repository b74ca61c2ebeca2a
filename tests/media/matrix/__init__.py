"""Write and read every combination of container, codec and pixel format, and make a table of the results.

``cells`` tries one combination. ``table`` makes the Markdown. ``python -m tests.media.matrix`` tries all of them, and
writes the table into docs/media.md.
"""
