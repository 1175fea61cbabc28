"""Masks in files: readers and writers by format."""
