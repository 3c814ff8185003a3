"""Structured random input for the upper layer, the command sets, the header and whole sessions.

    sessions    valid sessions, taken apart into PDUs and presentation data values
    mutation    what is done to them: bits, lengths, cuts, repeats, swaps
    layers      one layer at a time, without sockets
    node        a receiver in this process, and one session with it over TCP
    run         `python -m tests.fuzz.run`: as many inputs as you like, from a seed

Every input follows from (seed, target, number), so a failure is repeated by naming the three.
"""
