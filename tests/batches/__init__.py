"""Test the room batches."""
