"""The always-on node: what a modality meets, and the truth about every study.

The files are the stages, in this order:

    association  1  who may connect, with which contexts; the listener
    instance     2  C-STORE: validate, make durable, record, answer
    study        3  completeness, revision, eligibility, routing
    job          4  states and legal moves, leases; publishes by task name after commit

Everything else here supports them. `node` never imports `workers`, torch, tritonclient or
highdicom.
"""
