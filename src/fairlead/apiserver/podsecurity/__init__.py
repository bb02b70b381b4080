"""Pod Security Standards: what Pods of level `baseline` and `restricted` may not do, in upstream's words (pure).

`baseline` and `restricted` are the checks of a level, `levels` reads a namespace's labels and puts results together.
"""
