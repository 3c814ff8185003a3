"""Prior studies for comparison, asked of archives by rule and kept beside the new study.

    rules      when a completed study wants priors, which, and where from
    storage    the presentation contexts that a C-GET needs
    requests   one row per study and rule: claimed, renewed, tried again, given up
    archive    C-FIND, C-MOVE and C-GET as the archive sees them
    known      what the store knows: the patient, and what is here already
    getting    what C-GET brings, into the node's own inbox
    retrieval  one request from claim to end
    sources    the threads of the sweeper, one for each archive

In: a study that was just completed. Out: instances on the route `prior`, which no model looks at,
and lines on the study's timeline. What must hold: the request is made in the transaction that
completes the study; a prior is never analysed, moves no deadline and opens no revision; an archive
that hangs delays nothing but the priors that it was asked for; no patient data leaves the question.
"""
