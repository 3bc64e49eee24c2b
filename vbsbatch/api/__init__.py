"""What vbsbatch can do, as typed async functions: each command of the command line calls one.

Nothing here prints, handles signals, starts a process or imports click. Errors are those of
`vbsbatch.errors`. The package `vbsbatch` exports the public names.
"""
