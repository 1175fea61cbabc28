"""What every package may use: options, errors, records, registries, atomic files, locks."""
