"""The `mvideo` command. One file per group of commands; other packages add theirs through the entry point group
"mvideo.commands" (each a typer app)."""
