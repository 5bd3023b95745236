"""tune_cl for Python, and what the command line runs: searches, evaluations, comparisons, chains.

What scripts use is in `tune_cl` itself. `tune_cl.api.evaluate` alone can reach test data; nothing else imports it.
"""
