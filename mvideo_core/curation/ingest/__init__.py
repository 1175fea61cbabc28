"""From folders, HD-VILA lists and manifests to `VideoRow`s: listing, probing, provenance, optional download."""
