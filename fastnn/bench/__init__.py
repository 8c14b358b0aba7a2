"""`fastnn bench`: the same training steps, inference and whole processes with fastnn and with other libraries.

Nothing here is needed to train. `workloads.py` has the work and its figures, `peers/` one file per library,
`measure.py` the turns of the sides, `processes.py` the rows that are whole processes, `report.py` and `chart.py` what
is shown of it. The command line imports this package, so its top has nothing heavier than dataclasses.
"""
