"""C-FIND as SCP (PS3.4 annex C), Study Root, over what was received and what the node wrote.

    find      the handler: from an identifier to pending responses
    levels    the hierarchy: which keys a level has, and what an identifier asks for
    matching  what one key lets through, in SQL and exactly
    catalog   the answers, page by page
    contents  counts and modalities of studies and series

What must hold: memory does not grow with the number of matches, no transaction stays open while a
peer is slow, and no value of an identifier reaches a log.
"""
