"""Run one pipeline over any number of clips: a list with overrides, a journal of what is done, and a summary."""
