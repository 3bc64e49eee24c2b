"""What a cloud has, held against what a plan wants. Pure: imports `model`, `errors` and `plan`.

`Fleet` is what the cloud showed; `chosen` picks volumes out of it; `plan_text` writes a plan of
them, `differences` holds an older plan against it, `look` finds what would go wrong in a run.
"""
