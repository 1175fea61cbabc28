"""The only writer of outputs: content keys, atomic commits, journals, Parquet rows, blobs, on any fsspec URL."""
