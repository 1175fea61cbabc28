"""The mask studio: one static page that edits mask sequences in the browser, with the pixels of `editing`."""
