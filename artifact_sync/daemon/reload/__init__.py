"""Watch the configuration and token, and re-read them."""
