"""What a cloud has, compared with what a plan wants. Pure: imports `model`, `errors` and `plan`.

`VolumesByServer` is what the cloud returned. `chosen` selects volumes, `plan_text` writes a plan of
them, `differences` compares an older plan with them, `look` finds what would go wrong in a run.
"""
