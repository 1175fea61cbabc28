"""One file per subject; every function decorated with `@check` is discovered."""
