"""Measurements against other receivers, from a source checkout with the test extra; never shipped.

The files in the order of one run:

    objects    what is sent: one data set per size, with places for its UIDs
    wire       its PDUs, encoded once, and what comes back
    sender     the sender, a process of its own, the same for every receiver
    sink       a receiver that keeps nothing: what the sender could do at most
    receivers  the receivers side by side, each started empty
    usage      processor time and memory of a process and its children
    measure    one receiver, one size, one number of associations, once
    summary    medians and ratios over the rounds
    page       table, page and picture; `picture` draws
    machine    on what it was measured
    options    what several commands are told

    receive    the command `make bench-receive`
    filling    a store with many instances, without receiving them
    flatness   the command `make bench-flatness`

    results        the command `make bench-results`: what result objects cost
    results_study  the study that it encodes
"""
