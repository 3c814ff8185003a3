"""The training engine that every model of the project runs on.

In: a torch module, a loss function and a function from step number to batch. Out: trained weights,
a JSON log and a checkpoint from which training goes on exactly where it stopped. The parts:
`samples` makes phantoms in processes and keeps them on the device, `schedule` turns elapsed time
into a learning rate, `loop` is `fit`, `progress` reports, `checkpoint` and `weights` store.
Nothing here is imported when a model is served.
"""
