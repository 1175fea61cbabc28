"""`mvideo forget`: what was derived from a source, its removal, and the certificate of it."""
