"""HTTP clients, TLS, redirects, and words for network errors."""
