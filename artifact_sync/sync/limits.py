"""Limits of concurrency that users do not set."""

REPOS_AT_ONCE = 4
"""Repositories of one pass."""

RUNS_AT_ONCE = 4
"""Runs of a command's pass: each may have thousands of artifacts in memory."""

RUNS_AT_ONCE_IN_DAEMON = 3
"""Runs of one pass of the daemon, which has several passes."""

ARTIFACTS_PER_JOB = 3
"""Artifacts under way for each download: the others are being published and recorded."""

THREADS_BESIDE_JOBS = 2
"""Threads for the disk, besides one for each download."""
