"""Drawing functions, one per class; importing a module registers its classes."""
