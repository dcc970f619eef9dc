"""The mirror on a local file system: files, folders, links and the lock."""
