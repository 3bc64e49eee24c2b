"""What vbsbatch can do, as typed async functions: each command of the command line is one of them.

Nothing here prints, handles signals, starts a process or knows click. Errors are those of
`vbsbatch.errors`. The package `vbsbatch` itself exports what is public.
"""
