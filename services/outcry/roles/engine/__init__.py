"""The engine: reads a partition's log, matches, commits, and only then tells the world."""
