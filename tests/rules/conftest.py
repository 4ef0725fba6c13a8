from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about a rule.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
