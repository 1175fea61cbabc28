"""Networks used by metrics, as plain torch modules."""
