"""Draw and write the report of a sweep."""
