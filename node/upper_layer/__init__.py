"""DICOM Upper Layer for receiving: pynetdicom, subclassed where waiting and copying cost most.

    buffer        one receive buffer for each association
    fairness      turns between hosts for what processors and disks do for them
    limits        how many connections a host may have; telling of those that are refused
    connection    AssociationSocket: reads from that buffer, with deadlines and a PDU cap
    request       an association request, without what nothing here looks at
    command_set   the C-STORE command set: read a request, write a response
    messages      which message the next P-DATA belongs to, and what a storage service must offer
    stream        one association's C-STORE messages: from P-DATA to the storage service
    sending       objects of any size, sent with bounded memory
    cancelling    C-CANCEL, in the order in which it came
    requestor     associations that call: no answer is lost, nor a rejection
    provider      DULServiceProvider: waits for events; hands P-DATA to `stream`
    acceptor      Association and ACSE: waits for events; negotiates asynchronous operations
    sharing       what several processes have in common: listening sockets, and whom they serve
    server        the listening socket; TLS handshakes off the accept thread

In: TCP connections. Out: calls to a `StorageService`, and everything that is not C-STORE to
pynetdicom's own handlers. Nothing here knows files, databases or settings of the node.

What must hold: pynetdicom's state machine sees every PDU that is not part of a C-STORE message, in
order; bytes of a data set are never copied into Python objects on their way; one thread, the DUL's,
reads and writes the socket. `tests/unit/node/upper_layer/test_contract.py` fails when a release of
pynetdicom changes what is relied on here.
"""
