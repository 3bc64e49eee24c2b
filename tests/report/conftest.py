from hypothesis import settings

# Ten thousand characters through every format take a while on a busy machine; that is no failure.
settings.register_profile("patient", parent=settings.default, deadline=None)
settings.load_profile("patient")
