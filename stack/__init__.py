"""The whole system on one machine without containers: `sentinode up` and `sentinode demo`.

    state       what the stack decides and where it keeps it
    ports       which ports are free
    orthanc     the archive's configuration         redis    the broker's command line
    triton      the inference server's command line
    plan        settings -> the programs to run, their order and environment
    supervisor  runs them, restarts them, stops them
    health      asks each of them whether it answers
    embedded    the above in order: prepare, start, wait, stop
    process     one server for the length of a block; served: Triton, for reports
    display     one line for each part while it starts
    trial       one study from C-STORE to the archive; archive: what it asks of Orthanc;
                truth: its findings beside what was drawn
    demo        that in a stack which it starts itself; deployed: in one that others started
    commands    the command line

Production runs the same programs in containers; nothing outside this package imports it.
"""
