"""C-MOVE and C-GET as SCP (PS3.4 annex C): what was kept, byte for byte, in its own syntax.

    provider        the two services: from an identifier to the final response
    holdings        what can be given out, page by page
    sub_operations  how many are left, done, failed, and what that makes of the status
    roles           C-GET: where the requestor takes the SCP role of storage (PS3.7 D.3.3.4)

What must hold: an object of any size is sent in bounded memory; what conflicts is never given out.
"""
