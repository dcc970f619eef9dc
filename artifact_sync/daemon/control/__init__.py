"""The control socket: the command line asks the daemon over it."""
