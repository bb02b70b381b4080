"""Scheduler: cluster state as columns, pure cycles over classes of Pods, a thin shell.

loop        watches and wires                  backlog    what is known, and when to look again
binder      carries placements out             queue      who waits, in order
herald      tells conditions and events        gangs      which Pods go together
cycle       units to decisions (pure)          evaluation a class against every node
columns     the state as arrays                plugins/   one filter or score each
classes     what a decision reads of a Pod     explain    why not, from the same filters
"""
