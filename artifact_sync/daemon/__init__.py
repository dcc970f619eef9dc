"""The background service: passes that begin by themselves, for months, without a hand.

When it is time is decided in ``schedule``; one pass is ``sync``'s. Here both are brought together,
with starting and stopping, reloading, watching the mirror, and answering whoever asks.
"""
