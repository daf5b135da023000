"""The commands, one module for each family; what they need is imported when they run."""
