"""The review page: clips in the order of their expected gain, and a small server on this machine for decisions."""
