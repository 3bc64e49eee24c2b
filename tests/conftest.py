from hypothesis import HealthCheck, settings

# A busy machine is slow now and then; that is no failure. Where CI is set, Hypothesis' own profile
# is the parent: there the same examples are tried every time.
settings.register_profile(
    "patient",
    parent=settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")
