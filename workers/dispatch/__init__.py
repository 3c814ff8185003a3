"""Support of stage 8: what is to be delivered, to whom it may be tried, and on which connections.

ledger        the deliveries of one job as rows, written under its lease
availability  what is known of each destination, by all workers: who may try when
route         the connections of one visit to one destination
survey        `sentinode check`: what a destination takes and offers
"""
