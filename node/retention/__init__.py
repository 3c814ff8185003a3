"""Retention: a study that nobody has touched for SENTINODE_KEEP_DAYS leaves the node.

    expiry     passes over the studies at rest, in turns, by the sweeper or by a person
    clock      the time of day, which a date that is set wrong does not fool
    removal    the transaction in which one study goes or stays
    leftovers  its files, taken from the disk afterwards
    hold       a study that is being retrieved stays for so long

In: the clock, and what is at rest in the store. Out: studies that are `removed`. What must hold: a
study with anything left to do stays; one that goes is gone whole; stored again it begins anew.
"""
