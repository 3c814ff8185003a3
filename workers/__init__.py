"""The workers: from a complete study to confirmed results in the archive.

The files are the stages, in this order:

    inference          5  images -> preprocessed tensors -> Triton -> raw output
    findings           6  raw output -> Finding (pixel and mm geometry, code, score), stored
    segmentation       7  findings -> SEG
    report             7  findings -> SR TID 1500
    cad_report         7  findings -> Mammography CAD SR
    presentation       7  findings -> GSPS
    secondary_capture  7  findings -> pictures with burnt-in marks, summary
    key_objects        7  images with findings -> KOS; rejection notes
    combined           7  mammogram and ultrasound of a patient -> one SR
    delivery           8  to every destination; idempotent, confirmed
    replacement        8  what earlier revisions left there is rejected or deleted

`pipeline` says which stage follows which. `app` is the Celery application. Nothing here loads
torch.
"""
