"""Watch the mirror for damage, report it and have it repaired."""
