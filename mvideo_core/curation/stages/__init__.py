"""The stages: each file wires functions of a package to the store."""
