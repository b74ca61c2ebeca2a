"""Views of a compiled plan: a table, drawings, what differs between two plans, and BMF's own graph JSON."""
