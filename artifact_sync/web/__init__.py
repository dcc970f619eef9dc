"""The daemon over HTTP: webhook, health, metrics and status. An optional extra, off by default."""
