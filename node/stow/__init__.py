"""The second door: STOW-RS, the Store transaction of DICOMweb (PS3.18 10.5).

    POST /dicom-web/studies            instances of any study
    POST /dicom-web/studies/{study}    instances of this study

What comes in this way goes through the same inbox as a C-STORE, in the same durable order. The body
is parsed while it arrives and is never held: not the request, and not one instance of it.

    access     who may store, and how many at once
    media      what the request's header fields promise
    body       the body, chunk by chunk, with its deadline and its limit
    multipart  the parts of the body
    part10     what the head of a part claims
    intake     parts to the inbox, a few at a time
    answer     what became of each instance
    door       composes these; the routes
"""
