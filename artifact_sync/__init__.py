"""artifact-sync mirrors the CI artifacts of SourceCraft: verified, resumable, before they vanish.

What scripts may rely on is the program itself: its commands, its exit codes (``errors.ExitCode``),
the object of ``sync --json``, the configuration, and what it leaves on disk. From Python, what this
example uses is meant to be used; the rest may change with any version::

    import asyncio, os
    from pathlib import Path

    from artifact_sync.config.api_token import read_token
    from artifact_sync.domain.settings import Config, MirrorSettings, RepoSettings
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.app.assemble_pass import opened


    class Silent:  # an Observer; ``events`` says what there is to see
        def notify(self, event): ...


    async def mirror():
        config = Config(
            mirror=MirrorSettings(root=Path("mirror")), repo=(RepoSettings(name="org/repo"),)
        )
        token = read_token(config.source, os.environ)
        async with opened(config, PassRequest(config.repo), Silent(), token) as one_pass:
            return await one_pass.run()


    report = asyncio.run(mirror())

``opened`` raises from ``errors`` when a pass cannot begin; what goes wrong within it stands in
``report.failures``. ``config.load`` makes a ``Config`` of a TOML file. Importing this package
imports nothing else.

The story: schedule → discover → collect → plan → link → download → publish → record. To read the
code, begin with

* ``model``, the values, and ``ports``, the seams with their contracts; ``errors``, the tree
* ``sync``: one pass. ``repo_sync``: one repository, with ``discover`` for its list of runs.
  ``run_sync``: one run, with ``collect`` and ``plan``, which decide and do nothing
* ``fetching``, ``download``, ``reception``, ``answer``: a file, from its link to its place.
  ``links`` has the links, ``staging`` the unfinished bytes, ``evidence`` what vouches for them;
  ``small`` publishes small files together
* ``schedule`` (pure) says when it is time; ``daemon`` is the service around the passes, which
  begins with ``daemon.service``; ``web`` is what it shows over HTTP
* ``wiring.glance`` is the pass with nothing new, which imports hardly anything
* ``source`` (HTTP), ``ledger`` (SQL), ``mirror`` (files): the adapters. Only ``wiring`` knows them
  all, and only ``cli`` prints and exits
* ``simulator``: a SourceCraft for the demo and the tests. It mirrors nothing

Why things are as they are is told in ``docs/decisions``.
"""
