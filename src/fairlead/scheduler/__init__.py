"""Scheduler: cluster state as columns, pure cycles over classes of Pods, a thin shell.

loop      watches, binds, tells              backlog   what waits, and when to look again
cycle     units to decisions (pure)          gangs     which Pods go together
evaluation  a class against every node       plugins/  one filter or score each
columns   the state as arrays                explain   why not, from the same filters
"""
