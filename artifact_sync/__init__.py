"""artifact-sync mirrors the CI artifacts of SourceCraft. Read ``model`` and ``ports`` first."""
