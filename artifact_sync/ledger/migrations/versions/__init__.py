"""One file a migration, each frozen once released: it imports nothing that may change later."""
