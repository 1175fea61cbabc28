"""The `mvideo` command. One file per group of commands; other packages add theirs by the entry point group
"mvideo.commands" (each a typer app)."""
