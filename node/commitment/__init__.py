"""Storage Commitment (PS3.4 annex J), as SCP for modalities and as SCU for results.

    request       what an N-ACTION asks, and which of its mistakes has which status
    provider      N-ACTION: the request is a row before it is accepted; answers beside it
    custody       whether an instance is held as it was received: its bytes are read again
    event_report  the N-EVENT-REPORT that says so
    callback      beside the sweeper: answers on an association of its own, until one is taken

    asking        as SCU: N-ACTION to the archive that holds results
    receipt       its N-EVENT-REPORT, taken by the receiver or on the association of the request

What must hold: an answer says what the disk says when it is given, after a restart as before; what
an archive has committed to is committed to the database before it hears so.
"""
