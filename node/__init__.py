"""The always-on node: what a modality meets, and the truth about every study.

The files are the stages, in this order:

    association  1  who may connect, with which contexts; the listener
    instance     2  C-STORE: validate, make durable, record, answer
    study        3  completeness, revision, eligibility, routing
    completion   3  ... when the deadline has passed
    job          4  states and legal moves, leases; publishes by task name after commit

    retry           another chance for what failed
    recording       the transaction of stages 2 and 3
    retention/      the end: what nobody has touched for long leaves
    upper_layer/    DICOM's own: what a listener reads and writes
    stow/           STOW-RS, the second door of stage 2
    commitment/  query/  retrieve/  priors/    the other services, towards modalities and archives
    store/  web/    files and tables; pages that read them

Everything else here supports them. `node` never imports `workers`, torch, tritonclient or
highdicom.
"""
