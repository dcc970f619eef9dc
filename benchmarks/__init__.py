"""How fast artifact-sync is, beside what people would use instead. ``make bench`` runs all of it.

Read in this order:

* ``cases``: what is measured; ``passes``, ``downloads`` and ``fleet`` say how
* ``contenders``: who takes part, by which commands; ``socket_loop`` and ``durable_loop`` are two
* ``catalog``, ``known``: the files and the service's answers, and mirrors that know them already
* ``server``, ``slow_server``: who serves them; ``postgres`` and ``rows``: a ledger, and a large one
* ``contest``, ``measure``, ``driver``: turns, rounds, and what one run cost; ``services``: of what
  runs until it is stopped
* ``results``, ``goals``, ``report``, ``chart``: what came of it
* ``settings``, ``tools``, ``machine``, ``disk``: the surroundings

artifact-sync is measured by its command line alone, installed as its users have it. Only ``known``
and ``rows`` import it, to prepare mirrors outside of what is timed.
"""
