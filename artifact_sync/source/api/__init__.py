"""SourceCraft's REST API as ``ports.Source``."""
