"""Networks that metrics run, as plain torch modules."""
