"""Documents that hold others (archives, packed files, databases, PDFs), opened in a process that can be killed.

::

    a document's bytes ─▶ opener ═ pipe ═▶ worker: walk ─▶ kinds ─▶ zips, tars, packed, databases, pdfs
                            └◀═══ members, and what was left shut ═══┘

`opener` is for who asks, `worker` is the process, the rest runs in that. Nothing is written to a disk, and nothing is
imported here: a worker that starts imports no more than it needs.
"""
