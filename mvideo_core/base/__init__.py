"""Shared by every package: options, errors, records, registries, atomic files, locks."""
