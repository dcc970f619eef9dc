"""``make fleet``: three workers on this machine, of which one is killed."""
