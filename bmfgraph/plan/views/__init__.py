"""Show a compiled plan as a table, Mermaid, SVG or PNG."""
